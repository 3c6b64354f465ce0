"""Small event logs with every kind of link between events, written as exported files."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.incident import Window

START = datetime(2026, 11, 20, tzinfo=UTC)
NOW = START + timedelta(days=5)
WINDOW = Window(START + timedelta(days=2), START + timedelta(days=4))
COLUMNS = {
    "RestApi": "EVENT_TYPE TIMESTAMP REQUEST_ID USER_ID SESSION_KEY LOGIN_KEY ENTITY_NAME "
    "ROWS_PROCESSED RESPONSE_SIZE USER_AGENT CLIENT_IP CONNECTED_APP_ID TIMESTAMP_DERIVED",
    "ApiEvent": "EVENT_TYPE TIMESTAMP REQUEST_ID USER_ID SESSION_KEY LOGIN_KEY QUERIED_ENTITIES "
    "ROWS_RETURNED QUERY RECORDS USER_AGENT SOURCE_IP CONNECTED_APP_ID TIMESTAMP_DERIVED",
    "UniqueQuery": "EVENT_TYPE TIMESTAMP QUERY_IDENTIFIER SESSION_KEY LOGIN_KEY TIMESTAMP_DERIVED",
    "Login": "EVENT_TYPE TIMESTAMP REQUEST_ID USER_ID SESSION_KEY LOGIN_KEY USER_NAME SOURCE_IP BROWSER_TYPE "
    "TIMESTAMP_DERIVED",
    "ApiTotalUsage": "EVENT_TYPE TIMESTAMP REQUEST_ID USER_ID CONNECTED_APP_ID CONNECTED_APP_NAME CLIENT_IP",
}


def events(seed: int, count: int) -> dict[str, list[dict[str, str]]]:
    """`count` random events of each type over five days."""
    pick = random.Random(seed)
    found: dict[str, list[dict[str, str]]] = {}
    for kind, names in COLUMNS.items():
        found[kind] = [_event(pick, kind, names.split()) for _ in range(count)]
    return found


def _event(pick: random.Random, kind: str, names: list[str]) -> dict[str, str]:
    at = START + timedelta(milliseconds=pick.randrange(5 * 86_400_000))
    user = pick.randrange(12)
    session = pick.choice(["", "null", f"S{user}{pick.randrange(3)}", f"S{pick.randrange(40)}"])
    ids = [f"003{pick.randrange(200):012d}AAA" for _ in range(pick.randrange(4))]
    values = {
        "EVENT_TYPE": kind,
        "TIMESTAMP": f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1000:03d}",
        "TIMESTAMP_DERIVED": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "REQUEST_ID": pick.choice(["", "own-", "r-"]) + str(pick.randrange(60)),
        "USER_ID": f"005{user:012d}",
        "USER_NAME": f"User{user}@example.com",
        "SESSION_KEY": session,
        "LOGIN_KEY": pick.choice(["", f"L{user}", f"L{pick.randrange(60)}"]),
        "CONNECTED_APP_ID": pick.choice(["", f"0H4{pick.randrange(5):012d}AAA"]),
        "CONNECTED_APP_NAME": pick.choice(["", "Chat", "Mail"]),
        "CLIENT_IP": pick.choice(["10.0.0.1", "8.8.8.8", f"9.9.9.{pick.randrange(20)}", "Salesforce.com IP"]),
        "USER_AGENT": pick.choice(["", "curl/8", f"client/{pick.randrange(5)}"]),
        "ENTITY_NAME": pick.choice(["Contact", "Case"]),
        "ROWS_PROCESSED": pick.choice(["", "x", str(pick.randrange(2000))]),
        "RESPONSE_SIZE": str(pick.randrange(9000)),
        "QUERY": 'SELECT Id\nFROM Contact WHERE Name = "O\'Neil"',
        "RECORDS": "[" + ",".join(f'"{one}"' for one in ids) + "]" if ids else "",
    }
    values |= {
        "SOURCE_IP": values["CLIENT_IP"], "BROWSER_TYPE": values["USER_AGENT"],
        "QUERIED_ENTITIES": values["ENTITY_NAME"], "ROWS_RETURNED": values["ROWS_PROCESSED"],
        "QUERY_IDENTIFIER": values["QUERY"],
    }  # fmt: skip
    return {name: values[name] for name in names}


def text(rows: list[dict[str, str]], names: list[str] | None = None) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names or list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def export(folder: Path, found: dict[str, list[dict[str, str]]], hourly: bool = True) -> list[Path]:
    """Files as they are downloaded: one for each type and hour, or each type and day."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[Path, list[dict[str, str]]] = {}
    for kind, rows in found.items():
        for row in rows:
            slot = row["TIMESTAMP"][: 10 if hourly else 8]
            files.setdefault(folder / f"{kind}-{slot}-{'hourly' if hourly else 'daily'}.csv", []).append(row)
    for path, rows in files.items():
        path.write_text(text(rows), encoding="utf-8", newline="")
    return sorted(files)
