"""Who is who, resolved by the documented rules alone, in plain Python and from the records alone.

It shares no code with the generator but the list of role addresses, the placeholder rule and the spellings of
places, which are part of the rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import phonenumbers

from deployments.lab.salesforce.data.people import is_placeholder, normal_email
from deployments.lab.salesforce.data.places import COUNTRIES, STATES, US_NAMES
from deployments.lab.salesforce.store import Row, Store

COUNTRY_BY_TEXT = {name.casefold(): "US" for name in US_NAMES} | {
    text.casefold(): place.code for place in COUNTRIES for text in (*place.names, place.code)
}
STATE_BY_TEXT = {name.casefold(): place.code[3:] for place in STATES for name in place.names}
ISO_CODES = set(COUNTRY_BY_TEXT.values())
RANKED = ("Contact", "Loyalty_Member__c", "Lead", "Case", "User")

# object -> e-mail fields, phone fields, (country code, country, state code, state), last name
SHAPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str | None, ...], str | None]] = {
    "Contact": (
        ("Email",),
        ("MobilePhone", "Phone"),
        ("MailingCountryCode", "MailingCountry", "MailingStateCode", "MailingState"),
        "LastName",
    ),
    "Lead": (
        ("Email",),
        ("MobilePhone", "Phone"),
        ("CountryCode", "Country", "StateCode", "State"),
        "LastName",
    ),
    "Loyalty_Member__c": (
        ("Email__c",),
        ("Mobile__c",),
        (None, "Country__c", None, "State__c"),
        "Last_Name__c",
    ),
    "Case": (("SuppliedEmail",), ("SuppliedPhone",), (None, "Web_Country__c", None, None), "SuppliedName"),
    "User": (("Email",), ("MobilePhone", "Phone"), (None, "Country", None, "State"), "LastName"),
    "EmailMessage": (("FromAddress",), (), (None, None, None, None), None),
    "Individual": ((), (), (None, None, None, None), None),
    "Order": ((), (), (None, None, None, None), None),
    "Payment_Token__c": ((), (), (None, None, None, None), None),
    "Task": ((), (), (None, None, None, None), None),
    "CaseComment": ((), (), (None, None, None, None), None),
    "OrderItem": ((), (), (None, None, None, None), None),
    "ContentVersion": ((), (), (None, None, None, None), None),
}
LINKS = {
    "Contact": ("IndividualId",),
    "Lead": ("IndividualId",),
    "Case": ("ContactId",),
    "Loyalty_Member__c": ("Contact__c",),
    "Payment_Token__c": ("Contact__c",),
    "Order": ("BillToContactId",),
    "User": ("ContactId",),
    "Task": ("WhoId",),
    "EmailMessage": ("ParentId",),
    "CaseComment": ("ParentId",),
    "OrderItem": ("OrderId",),
    "ContentVersion": ("FirstPublishLocationId",),
}
ALWAYS = {"Contact", "Lead", "Individual", "Loyalty_Member__c", "User"}


@dataclass
class Found:
    """What one record shows."""

    object: str
    id: str
    stamp: str
    last_name: str
    country: str | None
    state: str | None
    emails: list[str]
    phones: list[str]
    links: list[str]
    about: bool


@dataclass
class Resolved:
    """Record id -> person (any label), person -> residence, and the numbers found to be shared."""

    person: dict[str, str] = field(default_factory=dict)
    residence: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    objects: dict[str, str] = field(default_factory=dict)


class Sets:
    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, item: str) -> str:
        self.parent.setdefault(item, item)
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, one: str, other: str) -> None:
        self.parent[self.find(one)] = self.find(other)


def read(store: Store) -> Iterator[Found]:
    for name, (emails, phones, place, last) in SHAPES.items():
        for raw in store.read().execute(f'SELECT * FROM "{name}" ORDER BY Id'):
            row = dict(raw)
            country, state = location(row, place)
            yield Found(
                name,
                row["Id"],
                row["SystemModstamp"],
                fold(row[last].split()[-1]) if last and row[last] else "",
                country,
                state,
                [e for column in emails if (e := normal_email(row[column]))],
                [n for column in phones if (n := e164(row[column], country))],
                [row[column] for column in LINKS.get(name, ()) if row[column]],
                name in ALWAYS
                or (
                    name == "Case"
                    and any(row[c] for c in ("ContactId", "SuppliedEmail", "SuppliedPhone", "SuppliedName"))
                ),
            )


def location(row: Row, columns: tuple[str | None, ...]) -> tuple[str | None, str | None]:
    code, text, state_code, state = (row[c] if c and row[c] else "" for c in columns)
    country = code if code in ISO_CODES else COUNTRY_BY_TEXT.get(text.casefold())
    if country != "US":
        return country, None
    return country, state_code or STATE_BY_TEXT.get(state.casefold())


def e164(text: str | None, country: str | None) -> str | None:
    if not text or is_placeholder(re.sub(r"\D", "", text)):
        return None
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def fold(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))


def shared_numbers(records: list[Found]) -> set[str]:
    emails, names = defaultdict(set), defaultdict(set)
    for record in records:
        for number in record.phones:
            emails[number].update(record.emails)
            names[number].add(record.last_name)
    return {n for n in emails if len(emails[n]) > 3 and len(names[n] - {""}) > 3}


def resolve(store: Store, *, stop_list: bool = True) -> Resolved:
    """Persons and residences; without the stop list shared numbers join strangers."""
    records = list(read(store))
    out, sets = Resolved(), Sets()
    out.shared = shared_numbers(records)
    by_id = {record.id: record for record in records}
    for record in records:
        keys = [f"mail {e}" for e in record.emails]
        keys += [f"phone {n}" for n in record.phones if not (stop_list and n in out.shared)]
        keys += [link for link in record.links if link in by_id]
        for key in keys:
            sets.join(record.id, key)
    about = {sets.find(r.id) for r in records if r.about}
    readings = defaultdict(list)
    for record in records:
        root = sets.find(record.id)
        if root not in about:
            continue
        out.person[record.id], out.objects[record.id] = root, record.object
        readings[root].append(record)
    out.residence = {root: residence(found, out.shared) for root, found in readings.items()}
    return out


def residence(records: list[Found], shared: set[str]) -> str:
    best: tuple[int, int] | None = None
    stamp = record_id = code = ""
    for record in records:
        if record.object not in RANKED:
            continue
        rank, here = reading(record, shared)
        key = (rank, RANKED.index(record.object))
        later = key == best and (record.stamp > stamp or (record.stamp == stamp and record.id < record_id))
        if best is None or key < best or later:
            best, stamp, record_id, code = key, record.stamp, record.id, here
    return code or "unknown"


def reading(record: Found, shared: set[str]) -> tuple[int, str]:
    if record.country and (record.country != "US" or record.state):
        return 1, f"US-{record.state}" if record.state else record.country
    if record.country:
        return 2, "US"
    for number in record.phones:
        if number not in shared:
            return 3, str(phonenumbers.region_code_for_number(phonenumbers.parse(number)))
    return 4, "unknown"
