"""Whatever a query log holds, `understand` says what may have left: exactly, or more with the reason, never
with an error."""

from __future__ import annotations

import re
from random import Random

import pytest

from blocks.salesforce.soql import render
from tasks.scope.queries import Asked, understand
from tasks.scope.reader import OrgReader
from tasks.scope.shape import OrgShape
from tests.blocks.soql.generator import Generator
from tests.tasks.scope.attack import Twin


@pytest.fixture(scope="module")
def shape(twin: Twin) -> OrgShape:
    return OrgReader(twin.org).shape


def fields(asked: Asked, *path: str, children: tuple[str, ...] = ()) -> set[str]:
    """The fields returned of the record at this path, lower case."""
    found = [r for r in asked.returned if r.path == path and r.children == children]
    return {name.casefold() for returned in found for name in returned.fields}


# text, object, fields of the row; path, children and fields of one other record; all are read exactly
ROW = ((), (), set[str]())
READ = (
    ("select\tID,\r\n lastname\nFROM contact where EMAIL!=null", "Contact", {"id", "lastname"}, ROW),
    ("SELECT Id FROM Contact FOR VIEW", "Contact", {"id"}, ROW),
    ("SELECT Id FROM Contact FOR REFERENCE UPDATE TRACKING", "Contact", {"id"}, ROW),
    ("SELECT Id FROM Contact LIMIT 1 FOR UPDATE", "Contact", {"id"}, ROW),
    ("SELECT Id FROM Contact WHERE Email = 'from Lead' ALL ROWS", "Contact", {"id"}, ROW),
    ("SELECT Id FROM Contact USING SCOPE mine", "Contact", {"id"}, ROW),
    ("SELECT Email FROM Contact WITH SECURITY_ENFORCED", "Contact", {"email"}, ROW),
    ("SELECT Email FROM Contact WITH USER_MODE LIMIT 3", "Contact", {"email"}, ROW),
    ("SELECT toLabel(Status) s, FORMAT(ClosedDate) FROM Case", "Case", {"status", "closeddate"}, ROW),
    (
        "SELECT FORMAT(convertCurrency(TotalAmount)) FROM Order WHERE TotalAmount > USD100.5",
        "Order", {"totalamount"}, ROW,
    ),
    (
        "SELECT c.Id, c.Account.Owner.Name FROM Contact c",
        "Contact", {"id"}, (("account", "owner"), (), {"name"}),
    ),
    (
        "SELECT Contact.Id, a.Name FROM Contact, Contact.Account a",
        "Contact", {"id"}, (("account",), (), {"name"}),
    ),
    (
        "SELECT Id, (SELECT Email FROM Contacts WHERE Email LIKE '%(x' ORDER BY Id LIMIT 2) FROM Account",
        "Account", {"id"}, ((), ("contacts",), {"email"}),
    ),
    (
        "SELECT Name, (SELECT Id, Contact.Email FROM Account.Cases) FROM Account",
        "Account", {"name"}, (("contact",), ("cases",), {"email"}),
    ),
    (
        "SELECT TYPEOF Who WHEN Contact THEN Email, Phone WHEN Lead THEN Company ELSE Name END FROM Task",
        "Task", set[str](), (("who",), (), {"email", "phone", "company", "name"}),
    ),
    (
        "SELECT Subject, Who.Name FROM Task WHERE What.Type = 'Account'",
        "Task", {"subject"}, (("who",), (), {"name"}),
    ),
    (
        "SELECT Id FROM Case WHERE DAY_ONLY(convertTimezone(CreatedDate)) = LAST_N_DAYS : 3",
        "Case", {"id"}, ROW,
    ),
    (
        "SELECT Id FROM Lead WHERE DISTANCE(Location__c, GEOLOCATION(52.5, 13.4), 'km') < 20",
        "Lead", {"id"}, ROW,
    ),
)  # fmt: skip


@pytest.mark.parametrize(("text", "name", "own", "other"), READ)
def test_rare_spellings_are_read(
    shape: OrgShape,
    text: str,
    name: str,
    own: set[str],
    other: tuple[tuple[str, ...], tuple[str, ...], set[str]],
) -> None:
    asked = understand(text, shape)
    assert (asked.object, asked.widened) == (name, "")
    assert fields(asked) == own
    path, children, expected = other
    if expected:
        assert fields(asked, *path, children=children) == expected


@pytest.mark.parametrize("kind", ["ALL", "standard", "Custom"])
def test_fields_mean_what_the_org_has(shape: OrgShape, kind: str) -> None:
    asked = understand(f"SELECT FIELDS({kind}) FROM Loyalty_Member__c LIMIT 200", shape)
    wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[kind.upper()]
    described = shape.get("Loyalty_Member__c")
    assert described is not None
    assert fields(asked) == {f.name.casefold() for f in described.fields if f.custom in wanted}


# What no grammar of ours reads; each names an object, all of whose fields may have left.
UNREAD = (
    "SELECT Id, Email FROM Contact -- all of them",
    "SELECT Id /* FROM Lead */ , Email FROM Contact WHERE",
    "SELECT Id FROM Contact WHERE Name SOUNDS LIKE 'x'",
    "SELECT TOP 5 Id, Email FROM Contact",
    "SELECT Id, (SELECT Id FROM Cases WHERE) FROM Contact",
    "SELECT Id FROM Contact WHERE Email = 'unclosed",
    "SELECT Id FROM Contact WHERE Id IN ('x', ) PARTITION BY y",
    "SELECT \u200bId FROM Contact",
    "select id from contact where (" + "(" * 300 + "id = null" + ")" * 300 + ")",
)


@pytest.mark.parametrize("text", UNREAD)
def test_what_cannot_be_read_is_the_whole_object(shape: OrgShape, text: str) -> None:
    asked = understand(text, shape)
    described = shape.get("Contact")
    assert described is not None
    assert asked.object == "Contact"
    assert asked.widened
    assert asked.query is None
    assert fields(asked) == {f.name.casefold() for f in described.fields}


@pytest.mark.parametrize(
    "text", ["", " ", "FROM", "\x00", "00O000000000001", "SELECT", "'", "((((", "\ud800 FROM x"]
)
def test_what_names_nothing_is_listed(shape: OrgShape, text: str) -> None:
    asked = understand(text, shape)
    assert asked.widened
    assert asked.returned == ()


def test_nothing_that_a_log_may_hold_is_an_error(shape: OrgShape) -> None:
    """Random statements, whole and broken: whatever cannot be followed is widened and says why."""
    broken = 0
    for seed in range(1200):
        random = Random(seed)
        text = render(Generator(random).query())
        if seed % 2:
            words = re.findall(r"'(?:[^'\\]|\\.)*'|\w+|\W", text)
            for _ in range(random.randint(1, 4)):
                place = random.randrange(len(words))
                words[place] = random.choice(
                    ("", "'", "(", ")", "FROM", "WHERE", "\u0000", "é", words[place] * 2)
                )
            text = "".join(words)
        asked = understand(text, shape)
        broken += asked.query is None
        assert asked.returned or asked.aggregate or asked.widened, text
    assert broken > 200
