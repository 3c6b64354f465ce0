"""Accounts, contacts, individuals, leads, loyalty members and payment tokens of the population.

Which record carries which key is decided here, so that the records of one person always connect by the
rules in `people` and those of two persons never do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deployments.lab.salesforce.data import names
from deployments.lab.salesforce.data.columns import (
    Calendar,
    Draw,
    Ints,
    Loader,
    Mask,
    Objects,
    objects,
    where,
)
from deployments.lab.salesforce.data.places import PLACES
from deployments.lab.salesforce.data.population import (
    MISSING,
    Addresses,
    Numbers,
    People,
    addresses,
    completeness,
    emails_where,
    phones_where,
    some,
    where_some,
    written_name,
    written_phone,
)
from deployments.lab.salesforce.data.residence import Residences
from deployments.lab.salesforce.data.truth import Truth

PLACEHOLDERS = ("0000000000", "1111111111", "9999999999", "1234567890")
ROLES = ("info", "office", "sales", "orders", "support")
FIRMS = (
    "Nordlicht", "Bluebird", "Casa Verde", "Maple Grove", "Sakura", "Atlas", "Harbour", "Zephyr", "Kronos",
    "Lumen", "Pinecrest", "Aurora", "Delta", "Horizon", "Sequoia", "Vega", "Orion", "Marlin", "Quartz",
    "Willow",
)  # fmt: skip
TRADES = (
    "Hotels",
    "Interiors",
    "Trading",
    "Café Group",
    "Studios",
    "School",
    "Supplies",
    "Events",
    "Logistics",
)
GROUP = 10  # people at one switchboard
LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "ja", "nl", "sv", "pl")
SOURCES = ("Web", "Store", "Phone Inquiry", "Partner Referral", "Newsletter", "Other")


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of the generator needs."""

    seed: int
    load: Loader
    calendar: Calendar
    truth: Truth
    residences: Residences
    owners: Objects  # user ids that own records
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Contacts:
    """The contacts written, and what each person's first contact lets others connect by."""

    ids: Objects
    person: Ints
    account: Objects
    created: Ints
    addresses: Addresses
    has_email: Mask  # per customer: its first contact carries its own e-mail address
    has_mobile: Mask  # per customer: ... its own mobile number
    individual: Objects  # per customer: id of the Individual its first contact names, or None


@dataclass(frozen=True, slots=True)
class Plan:
    """Which customers do what; decided before records are written, since keys depend on it."""

    business: Mask
    loyal: Ints  # customers with a loyalty record
    leads: Ints  # customers with a lead
    bridged: Mask  # connected to their lead only through the loyalty record


def plan(seed: int, customers: int, loyal: int, leads: int) -> Plan:
    draw = Draw(seed, "plan")
    everyone = np.arange(customers)
    business = draw.chance(0.08, customers)
    private = everyone[~business]
    loyalty, leading = draw.sample(private, loyal), draw.sample(private, leads)
    both = np.intersect1d(loyalty, leading)
    bridged = np.zeros(customers, dtype=bool)
    bridged[draw.sample(both, len(both) // 4)] = True
    return Plan(business, np.sort(loyalty), np.sort(leading), bridged)


def accounts(ctx: Context, people: People, chosen: Plan) -> tuple[Objects, Objects]:
    """Households (two customers each) and businesses. Returns the account id of each customer, and the
    web domain of each customer's business or None."""
    draw = Draw(ctx.seed, "accounts")
    customers = len(chosen.business)
    lead_customer = np.arange(0, customers, 2)
    households = len(lead_customer)
    firms = max(2, int(chosen.business.sum()) * 6 // 10)
    count = households + firms
    firm_home = people.home[draw.ints(customers, firms)]
    home = np.concatenate((people.home[lead_customer], firm_home))
    place = addresses(draw, home, completeness(draw, count, np.zeros(count, dtype=bool)))
    kind = np.arange(count) >= households
    firm_name = [
        f"{a} {b}"
        for a, b in zip(draw.pick(FIRMS, firms).tolist(), draw.pick(TRADES, firms).tolist(), strict=True)
    ]
    household_name = [f"{last} Household" for last in people.last[lead_customer].tolist()]
    known = place.told != MISSING
    phone = written_phone(draw, home, ctx.numbers.take(home), known)
    domains = [f"{name.split()[0].lower()}{i}.example" for i, name in enumerate(firm_name)]
    created = ctx.calendar.any(draw, count)
    ids = ctx.load.write(
        "Account",
        {
            "Name": household_name + firm_name,
            "Type": where(kind, "Customer - Business", "Household"),
            **place.columns("Billing"),
            "Phone": phone,
            "AccountNumber": objects(f"A-{i:07d}" for i in range(count)),
            "Website": objects([None] * households + [f"https://www.{d}" for d in domains]),
            "Industry": where(kind, draw.pick(("Retail", "Hospitality", "Education", "Services"), count)),
            "AccountSource": draw.pick(SOURCES, count),
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        ctx.calendar.after(draw, created),
        by=draw.pick(ctx.owners, count),
    )
    account = ids[np.arange(customers) // 2]
    employer = draw.ints(firms, customers)
    account[chosen.business] = ids[households + employer[chosen.business]]
    domain = where(chosen.business, objects(domains)[employer])
    return account, domain


def individuals(ctx: Context, people: People, customers: int, others: Ints) -> Objects:
    """Individuals for about half of the customers and for people known by nothing else.

    Returns the Individual's id of each customer, or None.
    """
    draw = Draw(ctx.seed, "individuals")
    person = np.concatenate((np.flatnonzero(draw.chance(0.49, customers)), others))
    count = len(person)
    created = ctx.calendar.any(draw, count)
    ids = ctx.load.write(
        "Individual",
        {
            "FirstName": people.first[person],
            "LastName": people.last[person],
            "Name": people.full_name[person],
            "BirthDate": where(draw.chance(0.5, count), birthdays(ctx.seed, len(people))[person]),
            "HasOptedOutSolicit": draw.ints(2, count),
            "ShouldForget": draw.chance(0.01, count).astype(int),
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        ctx.calendar.after(draw, created),
    )
    ctx.truth.add("Individual", ids, person)
    of_customer = np.empty(customers, dtype=object)
    of_customer[person[: count - len(others)]] = ids[: count - len(others)]
    return of_customer


def birthdays(seed: int, count: int) -> Objects:
    """One birthday for each person, the same on every record."""
    days = np.datetime_as_string(np.arange("1940-01-01", "2007-01-01", dtype="datetime64[D]"))
    return objects(days.tolist())[Draw(seed, "birthdays").ints(len(days), count)]


def contacts(
    ctx: Context,
    people: People,
    chosen: Plan,
    count: int,
    account: Objects,
    firm: Objects,
    individual: Objects,
) -> Contacts:
    """One contact for each customer, and duplicates for some."""
    draw = Draw(ctx.seed, "contacts")
    customers = len(account)
    private_email = ~(chosen.business & draw.chance(0.35, customers))
    has_email = private_email & draw.chance(0.92, customers)
    has_mobile = draw.chance(0.8, customers)
    has_email |= private_email & ~has_mobile
    has_mobile &= ~chosen.bridged
    has_email |= chosen.bridged
    linkable = np.flatnonzero(has_email | has_mobile)
    again = draw.sample(linkable, count - customers)
    person = np.concatenate((np.arange(customers), again))
    first = np.arange(len(person)) < customers

    email_here, mobile_here = has_email[person], has_mobile[person]
    by_individual = ~first & (individual[person] != None) & draw.chance(0.3, len(person))  # noqa: E711
    by_email = ~first & ~by_individual & email_here & (draw.chance(0.6, len(person)) | ~mobile_here)
    email_here = np.where(first, email_here, by_email)
    mobile_here = np.where(first, mobile_here, ~by_individual & ~by_email)

    moved = ~first & draw.chance(0.2, len(person))
    home = np.where(moved, draw.ints(len(PLACES), len(person)), people.home[person])
    place = addresses(draw, home, completeness(draw, len(person), people.sure[person] & first))
    in_country = (place.told != MISSING) & ~moved
    roles = objects(
        f"{r}@{d}" if d else None for r, d in zip(draw.pick(ROLES, len(person)), firm[person], strict=True)
    )
    email = emails_where(draw, email_here, people.email[person])
    role_here = first & ~private_email[person]
    email[role_here] = roles[role_here]
    mobile = phones_where(draw, mobile_here, people.home[person], people.mobile[person], in_country)
    junk = ~mobile_here & draw.chance(0.06, len(person))
    mobile[junk] = draw.pick(PLACEHOLDERS, int(junk.sum()))
    phone_here = first & draw.chance(0.1, len(person))
    phone = some(
        phone_here,
        lambda rows: written_phone(
            draw, people.home[person[rows]], ctx.numbers.take(people.home[person[rows]]), in_country[rows]
        ),
    )
    _share_phones(ctx, draw, people, person, phone, usable=first & email_here & ~phone_here)
    home_phone = _household_phones(ctx, draw, people, person, in_country, customers)
    first_name, last_name = written_name(draw, people.first[person]), written_name(draw, people.last[person])
    first_name[first], last_name[first] = people.first[person][first], people.last[person][first]
    created = ctx.calendar.any(draw, len(person))
    modified = ctx.calendar.after(draw, created)
    ids = ctx.load.write(
        "Contact",
        {
            "AccountId": account[person],
            "FirstName": first_name,
            "LastName": last_name,
            "Name": objects(f"{f} {n}" for f, n in zip(first_name.tolist(), last_name.tolist(), strict=True)),
            "Salutation": draw.pick(("Mr.", "Ms.", "Mrs.", "Dr.", None, None), len(person)),
            **place.columns("Mailing"),
            "Email": email,
            "MobilePhone": mobile,
            "Phone": phone,
            "HomePhone": home_phone,
            "Birthdate": where_some(draw.chance(0.55, len(person)), birthdays(ctx.seed, len(people))[person]),
            "LeadSource": draw.pick(SOURCES, len(person)),
            "OwnerId": draw.pick(ctx.owners, len(person)),
            "IndividualId": where_some(first | by_individual, individual[person]),
            "HasOptedOutOfEmail": draw.chance(0.2, len(person)).astype(int),
            "Tax_Id__c": where_some(
                draw.chance(0.05, len(person)), objects(f"{n:011d}" for n in draw.ints(10**11, len(person)))
            ),
            "Preferred_Language__c": draw.pick(LANGUAGES, len(person)),
            "Loyalty_Id__c": where_some(
                np.isin(person, chosen.loyal) & first, objects(f"L{p:08d}" for p in person.tolist())
            ),
        },
        created,
        modified,
        by=draw.pick(ctx.owners, len(person)),
    )
    ctx.truth.add("Contact", ids, person)
    dialled = mobile_here | phone_here
    ctx.residences.read("Contact", person, home, place.told, modified, dialled, people.home[person])
    return Contacts(ids, person, account[person], created, place, has_email, has_mobile, individual)


def _share_phones(
    ctx: Context, draw: Draw, people: People, person: Ints, phone: Objects, usable: Mask
) -> None:
    """Give the switchboard of one place to many strangers, in groups that are clearly shared by rule 2."""
    chosen = draw.sample(np.flatnonzero(usable), int(usable.sum()) // 25)
    groups = chosen[: len(chosen) // GROUP * GROUP].reshape(-1, GROUP)
    folded = {name: names.plain(name).casefold() for name in set(people.last.tolist())}
    last = people.last[person[groups]].tolist()
    groups = groups[[len({folded[name] for name in row}) >= 6 for row in last]]
    home = people.home[person[groups[:, 0]]]
    rows = groups.ravel()
    phone[rows] = written_phone(
        draw,
        np.repeat(home, GROUP),
        np.repeat(ctx.numbers.take(home), GROUP),
        np.zeros(len(rows), dtype=bool),
    )


def _household_phones(
    ctx: Context, draw: Draw, people: People, person: Ints, in_country: Mask, customers: int
) -> Objects:
    """One landline for both members of a household: it is in HomePhone, which identifies nobody."""
    home = people.home[np.arange(0, customers, 2)]
    household = person // 2
    return where_some(
        in_country & draw.chance(0.3, len(person)),
        written_phone(
            draw, home[household], ctx.numbers.take(home)[household], np.zeros(len(person), dtype=bool)
        ),
    )


def leads(
    ctx: Context, people: People, chosen: Plan, known: Contacts, strangers: Ints
) -> tuple[Objects, Ints]:
    """Leads of customers and of people who never became one. Returns ids and persons."""
    draw = Draw(ctx.seed, "leads")
    old = chosen.leads[known.has_email[chosen.leads] | known.has_mobile[chosen.leads]]
    again = draw.sample(strangers, len(strangers) // 10)
    person = np.concatenate((old, strangers, again))
    count, olds = len(person), len(old)
    email, mobile = draw.chance(0.6, count), draw.chance(0.5, count)
    email[:olds] &= known.has_email[old]
    mobile[:olds] &= known.has_mobile[old]
    neither = ~(email[:olds] | mobile[:olds])
    email[:olds] |= neither & known.has_email[old]
    mobile[:olds] |= neither & ~known.has_email[old]
    bridged = chosen.bridged[old]
    email[:olds][bridged], mobile[:olds][bridged] = False, True
    email[olds:] = True
    order = draw.rng.permutation(count)
    person, email, mobile = person[order], email[order], mobile[order]
    sure = people.sure[person] & (person >= len(known.has_email))
    place = addresses(draw, people.home[person], completeness(draw, count, sure))
    in_country = place.told != MISSING
    customer = person < len(known.has_email)
    individual = np.empty(count, dtype=object)
    individual[customer] = known.individual[person[customer]]
    first, last = written_name(draw, people.first[person]), written_name(draw, people.last[person])
    created = ctx.calendar.any(draw, count)
    modified = ctx.calendar.after(draw, created)
    ids = ctx.load.write(
        "Lead",
        {
            "FirstName": first,
            "LastName": last,
            "Name": objects(f"{f} {n}" for f, n in zip(first.tolist(), last.tolist(), strict=True)),
            "Company": draw.pick(
                ("[not provided]", *(f"{f} {t}" for f in FIRMS[:8] for t in TRADES[:4])), count
            ),
            **place.columns(""),
            "Email": emails_where(draw, email, people.email[person]),
            "MobilePhone": phones_where(draw, mobile, people.home[person], people.mobile[person], in_country),
            "LeadSource": draw.pick(SOURCES, count),
            "Status": draw.pick(
                ("Open - Not Contacted", "Working - Contacted", "Closed - Not Converted"), count
            ),
            "Rating": draw.pick(("Hot", "Warm", "Cold"), count),
            "IndividualId": where_some(draw.chance(0.2, count), individual),
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        modified,
        by=draw.pick(ctx.owners, count),
    )
    ctx.truth.add("Lead", ids, person)
    ctx.residences.read(
        "Lead", person, people.home[person], place.told, modified, mobile, people.home[person]
    )
    return ids, person


def loyalty(ctx: Context, people: People, chosen: Plan, known: Contacts, strangers: Ints) -> None:
    """Loyalty members: most point at their contact, others only share an e-mail address or a number."""
    draw = Draw(ctx.seed, "loyalty")
    old = chosen.loyal
    person = np.concatenate((old, strangers))
    count, olds = len(person), len(old)
    email, mobile = draw.chance(0.85, count), draw.chance(0.6, count)
    linked = np.zeros(count, dtype=bool)
    linked[:olds] = draw.chance(0.7, olds)
    shares = (email[:olds] & known.has_email[old]) | (mobile[:olds] & known.has_mobile[old])
    linked[:olds] |= ~shares
    bridged = chosen.bridged[old]
    linked[:olds][bridged], email[:olds][bridged], mobile[:olds][bridged] = False, True, True
    email[olds:] |= ~mobile[olds:]
    second = linked & draw.chance(0.1, count)  # another address than the contact has
    addresses_used = people.email[person]
    addresses_used[second] = people.second_email(person[second])
    sure = people.sure[person] & (person >= len(known.has_email))
    place = addresses(draw, people.home[person], completeness(draw, count, sure))
    in_country = place.told != MISSING
    country, state = _one_column(place)
    created = ctx.calendar.any(draw, count)
    modified = ctx.calendar.after(draw, created)
    number = objects(f"L{p:08d}" for p in person.tolist())
    first_contact = known.ids[: len(known.has_email)]
    contact = np.empty(count, dtype=object)
    contact[:olds] = first_contact[old]
    ids = ctx.load.write(
        "Loyalty_Member__c",
        {
            "Name": ctx.load.numbers("Loyalty_Member__c", "Name", count),
            "Member_Number__c": number,
            "Contact__c": where_some(linked, contact),
            "First_Name__c": written_name(draw, people.first[person]),
            "Last_Name__c": written_name(draw, people.last[person]),
            "Email__c": emails_where(draw, email, addresses_used),
            "Mobile__c": phones_where(draw, mobile, people.home[person], people.mobile[person], in_country),
            "Birth_Date__c": where_some(draw.chance(0.7, count), birthdays(ctx.seed, len(people))[person]),
            "Country__c": country,
            "State__c": state,
            "Postal_Code__c": place.postal,
            "Tier__c": draw.pick(("Bronze", "Silver", "Gold", "Platinum"), count, (6, 3, 1.5, 0.5)),
            "Points__c": draw.ints(20_000, count).astype(float),
            "Joined__c": ctx.calendar.days[created],
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        modified,
    )
    ctx.truth.add("Loyalty_Member__c", ids, person)
    ctx.residences.read(
        "Loyalty_Member__c", person, people.home[person], place.told, modified, mobile, people.home[person]
    )


def _one_column(place: Addresses) -> tuple[Objects, Objects]:
    """Country and state where there is one field for each: the text, else the code."""
    country = objects(t or c for t, c in zip(place.country, place.country_code, strict=True))
    state = objects(t or c for t, c in zip(place.state, place.state_code, strict=True))
    return country, state


def payment_tokens(ctx: Context, people: People, known: Contacts, count: int) -> None:
    draw = Draw(ctx.seed, "payment tokens")
    row = draw.ints(len(known.ids), count)
    person = known.person[row]
    created = ctx.calendar.any(draw, count)
    serial = zip(draw.ints(2**60, count).tolist(), range(count), strict=True)
    ids = ctx.load.write(
        "Payment_Token__c",
        {
            "Name": ctx.load.numbers("Payment_Token__c", "Name", count),
            "Contact__c": known.ids[row],
            "Token__c": objects(f"tok_{n:015x}{i:07x}" for n, i in serial),
            "Brand__c": draw.pick(("Visa", "Mastercard", "American Express"), count, (5, 4, 1)),
            "Last4__c": objects(f"{n:04d}" for n in draw.ints(10_000, count).tolist()),
            "Expiry_Month__c": draw.ints(12, count) + 1,
            "Expiry_Year__c": draw.ints(6, count) + 2026,
            "Cardholder__c": people.full_name[person],
            "Is_Default__c": draw.ints(2, count),
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        created,
    )
    ctx.truth.add("Payment_Token__c", ids, person)
