"""Which objects are about people, by which of their fields, and how their records are read.

Found from the org's own describe, so that custom objects count too: an object whose records have a last
name is about a person; one with a lookup to a contact or lead is about that person; one that belongs to
a case or order is about whoever that is about. Lookups to users never count: an owner is not the data
subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from tasks.scope.reader import Reader
from tasks.scope.shape import FieldShape, ObjectShape

PEOPLE = frozenset({"Contact", "Lead", "Individual"})  # what a lookup must lead to
STANDARD = (
    "Contact", "Lead", "Individual", "User", "Case", "CaseComment", "EmailMessage", "Order", "OrderItem",
    "Task",
    "Event", "ContentVersion", "CampaignMember", "Opportunity", "OpportunityContactRole", "Contract", "Asset",
)  # fmt: skip
# Of several lookups to a person the first of these is followed; a second person (ship-to, manager) is not.
_LOOKUPS = (
    "ContactId",
    "BillToContactId",
    "PersonContactId",
    "WhoId",
    "CustomerSignedId",
    "LeadId",
    "Contact__c",
)
_OTHERS = re.compile(r"^(ShipTo|ReportsTo|Converted|Assistant|Manager|Agent|Referr)", re.IGNORECASE)
_PARENTS = ("ParentId", "CaseId", "OrderId", "FirstPublishLocationId")
_LAST_NAME = re.compile(r"^(LastName|(.*_)?Last_?Name__c|(.*_)?Surname__c)$", re.IGNORECASE)
_FIRST_NAME = re.compile(r"^(FirstName|(.*_)?First_?Name__c|(.*_)?Given_?Name__c)$", re.IGNORECASE)
_SHARED_PHONE = re.compile(r"(home|other|assistant|fax|work|office|company)", re.IGNORECASE)
_MOBILE = re.compile(r"mobile|cell", re.IGNORECASE)
_COUNTRY = re.compile(r"^(Mailing|PersonMailing|)Country$|^(.*_)?Country__c$", re.IGNORECASE)
_STATE = re.compile(r"^(Mailing|PersonMailing|)State$|^(.*_)?State__c$", re.IGNORECASE)
# Among equally good readings of a residence, whose counts first.
RESIDENCE_ORDER = {"Contact": 0, "Lead": 2, "Case": 3, "User": 4}
_CUSTOM_RESIDENCE = 1


@dataclass(frozen=True, slots=True)
class Source:
    """How one object's records name a person."""

    object: str
    always: bool  # every record is about somebody, also without any key
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()  # mobile first
    last_name: str = ""
    full_name: str = ""  # a name whose last word is the last name; it also says that there is somebody
    country: tuple[str, ...] = ()  # code field first
    state: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()  # to a contact, lead or individual
    parent: str = ""  # to a case or order
    parent_of: tuple[str, ...] = ()  # the objects that lookup may lead to
    has_modstamp: bool = True

    @property
    def fields(self) -> list[str]:
        names = [*self.emails, *self.phones, self.last_name, self.full_name, *self.country, *self.state]
        names += [*self.lookups, self.parent, "SystemModstamp" if self.has_modstamp else ""]
        return ["Id", *dict.fromkeys(filter(None, names))]

    @property
    def residence_order(self) -> int:
        return RESIDENCE_ORDER.get(self.object, _CUSTOM_RESIDENCE)


def sources(shapes: Iterable[ObjectShape]) -> tuple[Source, ...]:
    """The objects among these that are about people, persons first, then what follows them."""
    shapes = list(shapes)
    direct = {s.name: source for s in shapes if (source := _direct(s)) is not None}
    followers = frozenset(name for name, source in direct.items() if not _is_person(source))
    for shape in shapes:
        own = direct.get(shape.name)
        if own is not None and (own.always or own.lookups):
            continue  # a record's own person counts before the one its parent is about
        parent = _first(_PARENTS, _references(shape, followers, shape.name))
        if parent is not None:
            direct[shape.name] = _with_parent(own or _plain(shape), parent, followers | PEOPLE)
    return tuple(direct.values())


def _is_person(source: Source) -> bool:
    return source.always


def _direct(shape: ObjectShape) -> Source | None:
    lookups = _lookups(shape)
    if shape.name == "Case":
        return _case(shape, lookups)
    if shape.name == "EmailMessage":
        return Source(shape.name, False, emails=_present(shape, "FromAddress"))
    last = next((f.name for f in shape.fields if _LAST_NAME.match(f.name)), "")
    first = any(_FIRST_NAME.match(f.name) for f in shape.fields)
    if last and first:
        return Source(
            shape.name,
            True,
            emails=tuple(f.name for f in shape.fields if f.type == "email"),
            phones=_phones(shape),
            last_name=last,
            country=_place(shape, _COUNTRY),
            state=_place(shape, _STATE),
            lookups=lookups,
            has_modstamp=shape.field("SystemModstamp") is not None,
        )
    return _plain(shape, lookups) if lookups else None


def _case(shape: ObjectShape, lookups: tuple[str, ...]) -> Source:
    return Source(
        "Case",
        False,
        emails=_present(shape, "SuppliedEmail"),
        phones=_present(shape, "SuppliedPhone"),
        full_name="".join(_present(shape, "SuppliedName")),
        country=_place(shape, _COUNTRY),
        state=_place(shape, _STATE),
        lookups=lookups,
    )


def _plain(shape: ObjectShape, lookups: tuple[str, ...] = ()) -> Source:
    return Source(shape.name, False, lookups=lookups, has_modstamp=False)


def _with_parent(source: Source, parent: FieldShape, about: frozenset[str]) -> Source:
    return Source(
        source.object,
        False,
        emails=source.emails,
        parent=parent.name,
        parent_of=tuple(name for name in parent.reference_to if name in about),
        has_modstamp=False,
    )


def _present(shape: ObjectShape, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if shape.field(name) is not None)


def _references(shape: ObjectShape, targets: frozenset[str], not_to: str) -> list[FieldShape]:
    return [
        f
        for f in shape.fields
        if f.type == "reference"
        and targets.intersection(f.reference_to)
        and not_to not in f.reference_to
        and not _OTHERS.match(f.name)
    ]


def _first(order: tuple[str, ...], found: list[FieldShape]) -> FieldShape | None:
    """The first by that order; any other lookup only where none of them is there."""
    by_name = {f.name: f for f in found}
    return next((by_name[name] for name in order if name in by_name), None)


def _lookups(shape: ObjectShape) -> tuple[str, ...]:
    """The lookup to the person this record is about, and the one to the Individual behind it."""
    found = _references(shape, frozenset({"Contact", "Lead"}), shape.name)
    chosen = _first(_LOOKUPS, found) or next((f for f in found if f.custom), None)
    individual = _references(shape, frozenset({"Individual"}), shape.name)
    return tuple(f.name for f in (chosen, *individual[:1]) if f is not None)


def _phones(shape: ObjectShape) -> tuple[str, ...]:
    names = [f.name for f in shape.fields if f.type == "phone" and not _SHARED_PHONE.search(f.name)]
    return tuple(sorted(names, key=lambda name: (not _MOBILE.search(name), name)))


def _place(shape: ObjectShape, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Country or state: the code field, then the text; standard address before a custom field."""
    names = [
        f.name for f in shape.fields if pattern.match(f.name) and not f.name.startswith(("Billing", "Ship"))
    ]
    if not names:
        return ()
    name = sorted(names, key=lambda n: (n.endswith("__c"), len(n), n))[0]
    return (*_present(shape, f"{name}Code"), name)


def candidates(reader: Reader, exposed: Iterable[str] = ()) -> list[ObjectShape]:
    """The objects to look at: the standard ones about people, all custom ones, and those that were
    exposed."""
    there = reader.object_names
    names = [n for n in STANDARD if n in there]
    names += sorted(n for n in there if n.endswith("__c") and n not in names)
    names += sorted(n for n in set(exposed) if n in there and n not in names)
    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(reader.shape.get, names))
    return [shape for shape in shapes if shape is not None and shape.queryable]


def read_population(reader: Reader, found: Iterable[Source]) -> Mapping[str, pd.DataFrame]:
    """The key fields of every record of these objects, deleted ones too. Raises what reading raises."""
    found = list(found)
    with ThreadPoolExecutor(4) as pool:
        frames = pool.map(lambda source: reader.frame(source.object, source.fields), found)
        return dict(zip((source.object for source in found), frames, strict=True))
