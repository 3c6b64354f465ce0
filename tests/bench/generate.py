"""A seeded export of event logs and records, shaped like real ones.

30 days x 24 hours x 5 event types = 3,600 files, every field quoted, line breaks inside some query texts,
about 400 bytes for each row; 1,000 principals; an attack of five days by three users, sessions of theirs, and
a client of its own. Records of two objects with e-mail addresses and phone numbers as people type them. The
manifest says what was written, so that every engine's answer is held against the truth and not only against
the others'.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

START = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 30
ATTACK = (START + timedelta(days=20), START + timedelta(days=25) - timedelta(milliseconds=1))
PRINCIPALS = 1_000
SUSPECTS = (17, 401, 888)
TYPES = ("RestApi", "ApiEvent", "UniqueQuery", "Login", "ApiTotalUsage")
SHARE = (0.4, 0.25, 0.2, 0.05, 0.1)
VERSION = 3
_QUOTED = pacsv.WriteOptions(quoting_style="all_valid", include_header=True)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written. `attack_events`: events whose user is a suspect, in the window; the least any answer
    must find."""

    version: int
    seed: int
    events: int
    records: int
    files: int
    bytes: int
    line_breaks: int
    attack_events: int


def generate(folder: Path, events: int, records: int, seed: int = 7) -> Manifest:
    """Write logs/ and records/ below the folder, once: a finished manifest is read again."""
    path = folder / "manifest.json"
    if path.exists():
        known = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        if (known.version, known.seed, known.events, known.records) == (VERSION, seed, events, records):
            return known
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "records").mkdir(exist_ok=True)
    size = files = breaks = attack = 0
    for hour in range(DAYS * 24):
        for number, kind in enumerate(TYPES):
            random = np.random.default_rng([seed, hour, number])
            count = _count(events, hour, number)
            at = START + timedelta(hours=hour)
            table, held, lines = _events(random, kind, count, at, records)
            target = folder / "logs" / f"{kind}-{at:%Y-%m-%dT%H}-hourly-1.csv"
            pacsv.write_csv(table, target, _QUOTED)
            size += target.stat().st_size
            files, breaks, attack = files + 1, breaks + lines, attack + held
    size += _records(folder / "records", records, seed)
    made = Manifest(VERSION, seed, events, records, files, size, breaks, attack)
    path.write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made


def _count(events: int, hour: int, number: int) -> int:
    """Rows of one file: the shares of the types, and every event exactly once over all hours."""
    total = round(events * SHARE[number]) if number else events - sum(round(events * s) for s in SHARE[1:])
    hours = DAYS * 24
    return total * (hour + 1) // hours - total * hour // hours


def user_id(number: int) -> str:
    return f"005{number:012d}AAA"


def _events(
    random: np.random.Generator, kind: str, count: int, at: datetime, records: int
) -> tuple[pa.Table, int, int]:
    attacking = ATTACK[0] <= at <= ATTACK[1]
    who = np.minimum((random.pareto(1.2, count) * 40).astype(np.int64), PRINCIPALS - 1)
    stolen = np.zeros(count, dtype=bool)
    if attacking:
        stolen = random.random(count) < 0.08
        who = np.where(stolen, random.choice(SUSPECTS, count), who)
    session = who * 100 + at.timetuple().tm_yday % 30 * 3 + random.integers(0, 3, count)
    ms = np.sort(random.integers(0, 3_600_000, count))
    instants = pa.array(np.datetime64(at.replace(tzinfo=None), "ms") + ms.astype("timedelta64[ms]"))
    whole = pc.strftime(instants, format="%Y%m%d%H%M%S")
    entity = np.array(["Contact", "Case", "Account", "Order", "Lead", "User"])[
        np.minimum(random.geometric(0.5, count) - 1, 5)
    ]
    client = np.where(stolen, 9_999, who % 17)
    ip = np.where(stolen, _ips(random.integers(0, 40, count), "185.220"), _ips(who % 119, "203.0"))
    text, broken = _queries(random, entity, who, count)
    rows = np.where(stolen, random.integers(200, 2_000, count), random.integers(0, 60, count))
    derived = pc.strftime(instants, format="%Y-%m-%dT%H:%M:%S")
    values: dict[str, object] = {
        "EVENT_TYPE": pa.array([kind] * count),
        "TIMESTAMP": whole,
        "REQUEST_ID": _texts("4", random.integers(0, 10**15, count), 15),
        "ORGANIZATION_ID": pa.array(["00D000000000001EAA"] * count),
        "USER_ID": _texts("005", who, 12, "AAA"),
        "RUN_TIME": _numbers(random.integers(1, 9_000, count)),
        "CPU_TIME": _numbers(random.integers(1, 900, count)),
        "URI": pa.array(["/services/data/v67.0/query"] * count),
        "SESSION_KEY": _texts("S", session, 15),
        "LOGIN_KEY": _texts("L", session // 3, 15),
        "USER_TYPE": pa.array(["Standard"] * count),
        "ENTITY_NAME": pa.array(entity),
        "ROWS_PROCESSED": _numbers(rows),
        "RESPONSE_SIZE": _numbers(rows * 311 + 90),
        "USER_AGENT": _texts("integration-client/", client, 4, " (bulk; python-requests 2.32)"),
        "CLIENT_IP": pa.array(ip),
        "CONNECTED_APP_ID": _texts("0H4", who % 25, 12, "AAA"),
        "STATUS_CODE": pa.array(["200"] * count),
        "USER_NAME": _texts("user", who, 4, "@example.com"),
        "TIMESTAMP_DERIVED": derived,
    }
    _more(values, kind, random, count, rows, records, text)
    for name in ("TIMESTAMP", "TIMESTAMP_DERIVED"):
        values[name] = _milliseconds(values[name], "" if name == "TIMESTAMP" else "Z")
    names = [name for name in COLUMNS[kind] if name in values]
    breaks = broken if kind in ("UniqueQuery", "ApiEvent") else 0
    held = int(np.isin(who, SUSPECTS).sum()) if attacking and kind != "UniqueQuery" else 0
    return pa.table({name: values[name] for name in names}), held, breaks


_HEAD = "EVENT_TYPE TIMESTAMP REQUEST_ID ORGANIZATION_ID USER_ID "
_TAIL = " TIMESTAMP_DERIVED"
COLUMNS: dict[str, list[str]] = {
    "RestApi": (
        _HEAD + "RUN_TIME CPU_TIME URI SESSION_KEY LOGIN_KEY USER_TYPE ENTITY_NAME STATUS_CODE RESPONSE_SIZE "
        "ROWS_PROCESSED USER_AGENT CLIENT_IP CONNECTED_APP_ID EXCEPTION_MESSAGE" + _TAIL
    ).split(),
    "ApiEvent": (
        _HEAD + "SESSION_KEY LOGIN_KEY QUERIED_ENTITIES QUERY RECORDS ROWS_RETURNED SOURCE_IP USER_AGENT "
        "CONNECTED_APP_ID" + _TAIL
    ).split(),
    "UniqueQuery": (
        "EVENT_TYPE TIMESTAMP ORGANIZATION_ID QUERY_IDENTIFIER QUERY_TYPE SQL_ID SESSION_KEY LOGIN_KEY"
        + _TAIL
    ).split(),
    "Login": (
        _HEAD
        + "RUN_TIME CPU_TIME URI SESSION_KEY LOGIN_KEY USER_TYPE BROWSER_TYPE USER_NAME SOURCE_IP"
        + _TAIL
    ).split(),
    "ApiTotalUsage": (
        _HEAD
        + "API_RESOURCE CLIENT_NAME CLIENT_IP STATUS_CODE ENTITY_NAME USER_NAME CONNECTED_APP_ID"
        + _TAIL
    ).split(),
}


def _more(
    values: dict[str, object],
    kind: str,
    random: np.random.Generator,
    count: int,
    rows: np.ndarray,
    records: int,
    text: pa.Array,
) -> None:
    """The columns of single types."""
    values |= {
        "EXCEPTION_MESSAGE": pa.array([""] * count),
        "SOURCE_IP": values["CLIENT_IP"],
        "BROWSER_TYPE": values["USER_AGENT"],
        "CLIENT_NAME": values["USER_AGENT"],
        "API_RESOURCE": values["URI"],
        "QUERIED_ENTITIES": values["ENTITY_NAME"],
        "ROWS_RETURNED": values["ROWS_PROCESSED"],
        "QUERY": text,
        "QUERY_IDENTIFIER": text,
        "QUERY_TYPE": pa.array(["soql"] * count),
        "SQL_ID": _texts("q", random.integers(0, 10**9, count), 12),
    }
    if kind == "ApiEvent":
        held = np.minimum(rows, 4)
        ids = _texts("003", random.integers(0, max(1, records), int(held.sum())), 12, "AAA")
        quoted = pc.binary_join_element_wise('"', ids, '"', "")
        offsets = np.concatenate([[0], np.cumsum(held)]).astype(np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), quoted)
        values["RECORDS"] = pc.binary_join_element_wise("[", pc.binary_join(lists, ","), "]", "")


def _queries(
    random: np.random.Generator, entity: np.ndarray, who: np.ndarray, count: int
) -> tuple[pa.Array, int]:
    """SOQL of about 150 bytes; one in a hundred with a line break and quotes."""
    broken = random.random(count) < 0.01
    between = pa.array(np.where(broken, "\r\n", " "))
    literal = _texts("\"Name\" = 'O\\'Hara ", random.integers(0, 5_000, count), 4, "'")
    where = pc.if_else(pa.array(broken), literal, _texts("OwnerId = '005", who, 12, "AAA'"))
    text = pc.binary_join_element_wise(
        "SELECT Id, FirstName, LastName, Email, MobilePhone, MailingCity FROM ", pa.array(entity), between,
        "WHERE ", where, " AND IsDeleted = false ORDER BY CreatedDate DESC LIMIT 2000", "",
    )  # fmt: skip
    return text, int(broken.sum())


def _texts(before: str, numbers: np.ndarray, width: int, after: str = "") -> pa.Array:
    padded = pc.utf8_lpad(_numbers(numbers), width=width, padding="0")
    return pc.binary_join_element_wise(before, padded, after, "")


def _numbers(values: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(values), pa.string())


def _ips(numbers: np.ndarray, net: str) -> np.ndarray:
    table = np.array([f"{net}.{n // 250}.{n % 250 + 1}" for n in range(750)])
    return table[numbers]


def _milliseconds(texts: object, after: str) -> pa.Array:
    """strftime writes the fraction after the seconds by itself; only what stands behind it is added."""
    return pc.binary_join_element_wise(texts, after, "")


# --- records -------------------------------------------------------------------------------------------

_LANDS = np.array(
    ["Germany", "US", "France", "Italy", "Spain", "Netherlands", "Sweden", "Ireland", "", "Deutschland"]
)
_STATES = np.array(["CA", "New York", "TX", "Florida", ""])
CHUNK = 500_000


def _records(folder: Path, records: int, seed: int) -> int:
    """Contacts (about 80 %) and cases; about half as many people as records."""
    size = 0
    contacts = records * 8 // 10
    for name, count, offset in (("Contact", contacts, 0), ("Case", records - contacts, contacts)):
        for part, first in enumerate(range(0, count, CHUNK)):
            random = np.random.default_rng([seed, 99, offset, part])
            table = (_contacts if name == "Contact" else _cases)(
                random, first, min(CHUNK, count - first), records, contacts
            )
            target = folder / f"{name}-{part}.csv"
            pacsv.write_csv(table, target, _QUOTED)
            size += target.stat().st_size
    return size


def _contacts(random: np.random.Generator, first: int, count: int, records: int, contacts: int) -> pa.Table:
    person = _person(np.arange(first, first + count), records)
    land = person % len(_LANDS)
    state = np.where(_LANDS[land] == "US", _STATES[person // 10 % len(_STATES)], "")
    when = pa.array(
        np.datetime64("2026-01-01", "s") + random.integers(0, 2**24, count).astype("timedelta64[s]")
    )
    return pa.table(
        {
            "Id": _texts("003", np.arange(first, first + count), 12, "AAA"),
            "FirstName": _texts("First", person % 900, 3),
            "LastName": _texts("Family", person % 5_000, 4),
            "Email": _emails(random, person, count),
            "MobilePhone": _phones(random, person, land, count),
            "MailingStreet": _texts("High Street ", person % 400, 1),
            "MailingCity": _texts("Town", person % 3_000, 4),
            "MailingState": pa.array(state),
            "MailingCountry": pa.array(_LANDS[land]),
            "Birthdate": pa.array(np.where(random.random(count) < 0.3, "1980-05-17", "")),
            "SystemModstamp": pc.binary_join_element_wise(
                pc.strftime(when, format="%Y-%m-%dT%H:%M:%S"), ".000+0000", ""
            ),
        }
    )


def _cases(random: np.random.Generator, first: int, count: int, records: int, contacts: int) -> pa.Table:
    contact = random.integers(0, max(1, contacts), count)
    person = _person(contact, records)
    lookup = _texts("003", contact, 12, "AAA")
    return pa.table(
        {
            "Id": _texts("500", np.arange(first, first + count), 12, "AAA"),
            "SuppliedEmail": _emails(random, person, count),
            "SuppliedName": _texts("First Family", person % 5_000, 4),
            "ContactId": pc.if_else(pa.array(random.random(count) < 0.7), lookup, ""),
            "Subject": _texts("Where is my order ", person % 90_000, 6),
            "Country__c": pa.array(_LANDS[person % len(_LANDS)]),
        }
    )


def _person(contact: np.ndarray, records: int) -> np.ndarray:
    """Who a contact is: half as many people as records, a person's contacts far apart."""
    return contact * 7_919 % max(1, records // 2)


def _emails(random: np.random.Generator, person: np.ndarray, count: int) -> pa.Array:
    """Plain, in capitals, with a tag, with blanks; a few role addresses and blanks instead."""
    plain = _texts("person", person, 8, "@Example.com")
    how = random.integers(0, 20, count)
    tagged = _texts("person", person, 8, "+shop@example.com")
    found = pc.if_else(pa.array(how < 3), pc.utf8_upper(plain), plain)
    found = pc.if_else(pa.array(how == 4), tagged, found)
    found = pc.if_else(pa.array(how == 5), pc.binary_join_element_wise(" ", plain, " ", ""), found)
    found = pc.if_else(pa.array(how == 6), "noreply@example.com", found)
    return pc.if_else(pa.array(how == 7), "", found)


def _phones(random: np.random.Generator, person: np.ndarray, land: np.ndarray, count: int) -> pa.Array:
    """German and US numbers in three spellings each, none for other countries; some placeholders."""
    own = person % 10_000_000
    german = pc.if_else(
        pa.array(random.random(count) < 0.5), _texts("+49 1512 ", own, 7), _texts("01512/", own, 7)
    )
    middle = 200 + person // 10_000 % 700
    end = person % 10_000
    american = pc.binary_join_element_wise(
        pa.array(np.where(random.random(count) < 0.5, "(415) ", "+1 415-")), _numbers(middle), "-",
        pc.utf8_lpad(_numbers(end), width=4, padding="0"), "",
    )  # fmt: skip
    names = _LANDS[land]
    found = pc.if_else(pa.array(np.isin(names, ["Germany", "Deutschland"])), german, "")
    found = pc.if_else(pa.array(names == "US"), american, found)
    junk = random.random(count)
    found = pc.if_else(pa.array(junk < 0.02), "0000000000", found)
    return pc.if_else(pa.array(junk > 0.7), "", found)
