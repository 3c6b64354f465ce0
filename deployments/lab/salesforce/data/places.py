"""Where the retailer's customers live: 51 US states (with DC) and 59 other countries, in several spellings.

`mobile` is the start of a mobile number and how many digits follow: every such number is valid by the public
numbering plan (checked in the tests). US and Canadian numbers use an area code of the place and, as long as
they last, the fictional exchange 555. In postal patterns `#` is a digit and `@` a letter.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """`code` is ISO 3166-1 alpha-2, or US-XX for a US state: the residence of whoever lives there."""

    code: str
    names: tuple[str, ...]  # the first is the usual one; for a US state, of the state
    group: str  # which names people have, see `names`
    cities: tuple[str, ...]
    postal: str
    weight: float
    time_zone: str
    locale: str
    dial: str = "1"
    trunk: str = ""  # what stands before a number dialled inside the country
    mobile: tuple[tuple[str, int], ...] = ()
    area_codes: tuple[str, ...] = ()

    @property
    def country(self) -> str:
        return self.code[:2]

    @property
    def state(self) -> str | None:
        return self.code[3:] or None


US_NAMES = ("United States", "USA", "U.S.A.", "United States of America", "US")

# state | name | cities | start of the postal code | population in millions | time zone | area codes
_STATES = """
AL|Alabama|Birmingham,Mobile|352|5.1|America/Chicago|205,251
AK|Alaska|Anchorage,Juneau|995|0.7|America/Anchorage|907
AZ|Arizona|Phoenix,Tucson|850|7.4|America/Phoenix|602,520
AR|Arkansas|Little Rock,Fayetteville|722|3.0|America/Chicago|501,479
CA|California|Los Angeles,San Diego,Fresno|900|39.0|America/Los_Angeles|213,619,415
CO|Colorado|Denver,Boulder|802|5.8|America/Denver|303,719
CT|Connecticut|Hartford,New Haven|061|3.6|America/New_York|203,860
DE|Delaware|Wilmington,Dover|198|1.0|America/New_York|302
DC|District of Columbia|Washington|200|0.7|America/New_York|202
FL|Florida|Miami,Tampa,Orlando|331|22.2|America/New_York|305,813,407
GA|Georgia|Atlanta,Savannah|303|10.9|America/New_York|404,912
HI|Hawaii|Honolulu,Hilo|968|1.4|Pacific/Honolulu|808
ID|Idaho|Boise,Idaho Falls|837|1.9|America/Boise|208
IL|Illinois|Chicago,Springfield|606|12.6|America/Chicago|312,217
IN|Indiana|Indianapolis,Fort Wayne|462|6.8|America/Indiana/Indianapolis|317,260
IA|Iowa|Des Moines,Cedar Rapids|503|3.2|America/Chicago|515,319
KS|Kansas|Wichita,Topeka|672|2.9|America/Chicago|316,785
KY|Kentucky|Louisville,Lexington|402|4.5|America/New_York|502,859
LA|Louisiana|New Orleans,Baton Rouge|701|4.6|America/Chicago|504,225
ME|Maine|Portland,Bangor|041|1.4|America/New_York|207
MD|Maryland|Baltimore,Annapolis|212|6.2|America/New_York|410,301
MA|Massachusetts|Boston,Worcester|021|7.0|America/New_York|617,508
MI|Michigan|Detroit,Lansing|482|10.0|America/Detroit|313,517
MN|Minnesota|Minneapolis,Duluth|554|5.7|America/Chicago|612,218
MS|Mississippi|Jackson,Biloxi|392|2.9|America/Chicago|601,228
MO|Missouri|Kansas City,St. Louis|631|6.2|America/Chicago|314,816
MT|Montana|Billings,Missoula|591|1.1|America/Denver|406
NE|Nebraska|Omaha,Lincoln|681|2.0|America/Chicago|402,308
NV|Nevada|Las Vegas,Reno|891|3.2|America/Los_Angeles|702,775
NH|New Hampshire|Manchester,Concord|031|1.4|America/New_York|603
NJ|New Jersey|Newark,Trenton|071|9.3|America/New_York|201,609
NM|New Mexico|Albuquerque,Santa Fe|871|2.1|America/Denver|505,575
NY|New York|New York,Buffalo,Albany|100|19.6|America/New_York|212,716,518
NC|North Carolina|Charlotte,Raleigh|282|10.8|America/New_York|704,919
ND|North Dakota|Fargo,Bismarck|581|0.8|America/Chicago|701
OH|Ohio|Columbus,Cleveland|432|11.8|America/New_York|614,216
OK|Oklahoma|Oklahoma City,Tulsa|731|4.1|America/Chicago|405,918
OR|Oregon|Portland,Eugene|972|4.2|America/Los_Angeles|503,541
PA|Pennsylvania|Philadelphia,Pittsburgh|191|13.0|America/New_York|215,412
RI|Rhode Island|Providence,Newport|029|1.1|America/New_York|401
SC|South Carolina|Charleston,Columbia|294|5.4|America/New_York|803,843
SD|South Dakota|Sioux Falls,Rapid City|571|0.9|America/Chicago|605
TN|Tennessee|Nashville,Memphis|372|7.1|America/Chicago|615,901
TX|Texas|Houston,Dallas,Austin|770|30.5|America/Chicago|713,214,512
UT|Utah|Salt Lake City,Provo|841|3.4|America/Denver|801,435
VT|Vermont|Burlington,Montpelier|054|0.6|America/New_York|802
VA|Virginia|Richmond,Norfolk|232|8.7|America/New_York|804,757
WA|Washington|Seattle,Spokane|981|7.8|America/Los_Angeles|206,509
WV|West Virginia|Charleston,Morgantown|253|1.8|America/New_York|304
WI|Wisconsin|Milwaukee,Madison|532|5.9|America/Chicago|414,608
WY|Wyoming|Cheyenne,Casper|820|0.6|America/Denver|307
"""

# code | names | dial | trunk | mobile start+digits | names of | cities | postal | weight | time zone | locale
_COUNTRIES = """
GB|United Kingdom,Great Britain,UK|44|0|740+7|en|London,Manchester,Leeds|@@# #@@|90|Europe/London|en_GB
DE|Germany,Deutschland,DEU|49|0|151+8|de|Berlin,München,Köln|#####|110|Europe/Berlin|de_DE
FR|France,FRA|33|0|61+7|fr|Paris,Lyon,Lille|#####|70|Europe/Paris|fr_FR
ES|Spain,España,ESP|34||6+8|es|Madrid,Sevilla,Bilbao|#####|45|Europe/Madrid|es_ES
IT|Italy,Italia,ITA|39||34+8|it|Milano,Roma,Torino|#####|45|Europe/Rome|it_IT
NL|Netherlands,Nederland,The Netherlands|31|0|61+7|nl|Amsterdam,Utrecht|#### @@|35|Europe/Amsterdam|nl_NL
BE|Belgium,België,Belgique|32|0|47+7|nl|Antwerpen,Gent,Liège|####|15|Europe/Brussels|nl_BE
AT|Austria,Österreich,AUT|43|0|66+7|de|Wien,Graz,Linz|####|20|Europe/Vienna|de_AT
CH|Switzerland,Schweiz,Suisse|41|0|78+7|de|Zürich,Basel,Genève|####|18|Europe/Zurich|de_CH
SE|Sweden,Sverige,SWE|46|0|70+7|sv|Stockholm,Göteborg|### ##|18|Europe/Stockholm|sv_SE
NO|Norway,Norge,NOR|47||40+6|sv|Oslo,Bergen|####|10|Europe/Oslo|no_NO
DK|Denmark,Danmark,DNK|45||26+6|sv|København,Aarhus|####|11|Europe/Copenhagen|da_DK
FI|Finland,Suomi,FIN|358|0|41+7|sv|Helsinki,Tampere|#####|9|Europe/Helsinki|fi_FI
IE|Ireland,Éire,IRL|353|0|85+7|en|Dublin,Cork|@## @###|12|Europe/Dublin|en_IE
PT|Portugal,PRT|351||91+7|pt|Lisboa,Porto|####-###|12|Europe/Lisbon|pt_PT
PL|Poland,Polska,POL|48||5+8|pl|Warszawa,Kraków|##-###|25|Europe/Warsaw|pl_PL
CZ|Czechia,Czech Republic|420||601+6|pl|Praha,Brno|### ##|10|Europe/Prague|cs_CZ
SK|Slovakia,Slovak Republic|421|0|912+6|pl|Bratislava,Košice|### ##|5|Europe/Bratislava|sk_SK
HU|Hungary,Magyarország|36|06|20+7|pl|Budapest,Debrecen|####|7|Europe/Budapest|hu_HU
RO|Romania,România|40|0|712+6|it|București,Cluj-Napoca|######|8|Europe/Bucharest|ro_RO
BG|Bulgaria,BGR|359|0|87+7|pl|Sofia,Plovdiv|####|4|Europe/Sofia|bg_BG
GR|Greece,GRC|30||69+8|gr|Athina,Thessaloniki|### ##|7|Europe/Athens|el_GR
HR|Croatia,Hrvatska|385|0|92+7|pl|Zagreb,Split|#####|4|Europe/Zagreb|hr_HR
SI|Slovenia,Slovenija|386|0|31+6|pl|Ljubljana,Maribor|####|3|Europe/Ljubljana|sl_SI
EE|Estonia,Eesti|372||5+7|sv|Tallinn,Tartu|#####|3|Europe/Tallinn|et_EE
LV|Latvia,Latvija|371||21+6|pl|Riga,Liepaja|LV-####|3|Europe/Riga|lv_LV
LT|Lithuania,Lietuva|370|0|6+7|pl|Vilnius,Kaunas|LT-#####|3|Europe/Vilnius|lt_LT
LU|Luxembourg,LUX|352||628+6|fr|Luxembourg,Esch-sur-Alzette|L-####|3|Europe/Luxembourg|fr_LU
CY|Cyprus,CYP|357||96+6|gr|Nicosia,Limassol|####|3|Asia/Nicosia|el_CY
TR|Turkey,Türkiye,TUR|90|0|50+8|tr|İstanbul,Ankara|#####|12|Europe/Istanbul|tr_TR
UA|Ukraine,Ukraina|380|0|50+7|pl|Kyiv,Lviv|#####|6|Europe/Kyiv|uk_UA
CA|Canada,CAN|1|1||en|Toronto,Vancouver,Calgary|@#@ #@#|40|America/Toronto|en_CA
MX|Mexico,México,MEX|52||22+8|es|Ciudad de México,Puebla|#####|18|America/Mexico_City|es_MX
BR|Brazil,Brasil,BRA|55|0|119+8|pt|São Paulo,Rio de Janeiro|#####-###|45|America/Sao_Paulo|pt_BR
CL|Chile,CHL|56||22+7|es|Santiago,Valparaíso|#######|6|America/Santiago|es_CL
CO|Colombia,COL|57||310+7|es|Bogotá,Medellín|######|7|America/Bogota|es_CO
PE|Peru,Perú,PER|51|0|9+8|es|Lima,Arequipa|#####|5|America/Lima|es_PE
AU|Australia,AUS|61|0|41+7|en|Sydney,Melbourne,Perth|####|30|Australia/Sydney|en_AU
NZ|New Zealand,NZL|64|0|21+7|en|Auckland,Wellington|####|8|Pacific/Auckland|en_NZ
JP|Japan,JPN|81|0|901+7|ja|Tokyo,Osaka,Sapporo|###-####|40|Asia/Tokyo|ja_JP
KR|South Korea,Korea (Republic of),Republic of Korea|82|0|102+7|ko|Seoul,Busan|#####|15|Asia/Seoul|ko_KR
SG|Singapore,SGP|65||81+6|zh|Singapore|######|14|Asia/Singapore|en_SG
MY|Malaysia,MYS|60|0|12+7|zh|Kuala Lumpur,Penang|#####|7|Asia/Kuala_Lumpur|ms_MY
TH|Thailand,THA|66|0|8+8|vi|Bangkok,Chiang Mai|#####|6|Asia/Bangkok|th_TH
VN|Vietnam,Viet Nam,Việt Nam|84|0|91+7|vi|Hà Nội,Đà Nẵng|######|6|Asia/Ho_Chi_Minh|vi_VN
PH|Philippines,PHL|63|0|905+7|es|Manila,Cebu City|####|7|Asia/Manila|en_PH
ID|Indonesia,IDN|62|0|81+7|ar|Jakarta,Surabaya|#####|8|Asia/Jakarta|id_ID
IN|India,IND|91|0|81+8|in|Mumbai,Bengaluru,Delhi|######|45|Asia/Kolkata|en_IN
AE|United Arab Emirates,UAE,U.A.E.|971|0|50+7|ar|Dubai,Abu Dhabi|#####|8|Asia/Dubai|ar_AE
SA|Saudi Arabia,SAU|966|0|51+7|ar|Riyadh,Jeddah|#####|6|Asia/Riyadh|ar_SA
IL|Israel,ISR|972|0|502+6|gr|Tel Aviv,Haifa|#######|6|Asia/Jerusalem|he_IL
EG|Egypt,EGY|20|0|10+8|ar|Cairo,Alexandria|#####|5|Africa/Cairo|ar_EG
ZA|South Africa,ZAF|27|0|7+8|en|Cape Town,Durban|####|9|Africa/Johannesburg|en_ZA
NG|Nigeria,NGA|234|0|80+8|en|Lagos,Abuja|######|6|Africa/Lagos|en_NG
KE|Kenya,KEN|254|0|7+8|en|Nairobi,Mombasa|#####|4|Africa/Nairobi|en_KE
MA|Morocco,Maroc|212|0|65+7|ar|Casablanca,Rabat|#####|4|Africa/Casablanca|fr_MA
HK|Hong Kong,Hong Kong SAR|852||61+6|zh|Kowloon,Central||6|Asia/Hong_Kong|en_HK
TW|Taiwan,TWN|886|0|9+8|zh|Taipei,Kaohsiung|#####|6|Asia/Taipei|zh_TW
CN|China,PRC|86|0|131+8|zh|Shanghai,Shenzhen|######|12|Asia/Shanghai|zh_CN
"""
_CANADIAN_AREAS = ("416", "604", "403", "514", "613")


def _state(line: str) -> Place:
    code, name, cities, zip3, people, zone, areas = line.split("|")
    return Place(
        code=f"US-{code}",
        names=(name, code),
        group="us",
        cities=tuple(cities.split(",")),
        postal=f"{zip3}##",
        weight=float(people),
        time_zone=zone,
        locale="en_US",
        trunk="1",
        area_codes=tuple(areas.split(",")),
    )


def _country(line: str) -> Place:
    code, names, dial, trunk, mobile, group, cities, postal, weight, zone, locale = line.split("|")
    start, _, digits = mobile.partition("+")
    return Place(
        code=code,
        names=tuple(names.split(",")),
        group=group,
        cities=tuple(cities.split(",")),
        postal=postal,
        weight=float(weight),
        time_zone=zone,
        locale=locale,
        dial=dial,
        trunk=trunk,
        mobile=((start, int(digits)),) if mobile else (),
        area_codes=() if mobile else _CANADIAN_AREAS,
    )


STATES: tuple[Place, ...] = tuple(_state(line) for line in _STATES.strip().splitlines())
COUNTRIES: tuple[Place, ...] = tuple(_country(line) for line in _COUNTRIES.strip().splitlines())
PLACES: tuple[Place, ...] = STATES + COUNTRIES
