"""Folders that nobody prepared: what is wrong with a file is named, nothing is fatal, nothing counts twice.

Each folder is read both ways, in memory and through a lake as files too large for memory are.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tasks.scope import lake_parse
from tasks.scope.attribution import Attribution, Marks, attribute
from tasks.scope.lake_closed import with_suspects
from tasks.scope.local import read_records
from tasks.scope.local_logs import LARGE, read_logs
from tests.tasks.scope.lake_logs import NOW, WINDOW, events, text

MARKS = Marks(apps=frozenset({"0H4000000000002"}))
ROWS = [replaced | {"REQUEST_ID": f"r{n}"} for n, replaced in enumerate(events(5, 60)["RestApi"])]
PLAIN = text(ROWS)
NAMES = list(ROWS[0])


@dataclass(frozen=True)
class Read:
    found: Attribution
    said: str


def read(folder: Path, scratch: Path, large: int) -> Read:
    local = read_logs(folder, WINDOW, NOW, scratch, large)
    rows = local.logs.events
    if local.logs.closed:
        rows = with_suspects(local.logs.closed, rows, MARKS, WINDOW, NOW)
    return Read(attribute(rows, MARKS, WINDOW, now=NOW, own=None), "\n".join(local.logs.problems))


def keys(found: Attribution) -> pd.DataFrame:
    columns = ["request_id", "session", "at", "certain"]
    return found.events[columns].sort_values(columns, ignore_index=True)


@pytest.fixture(params=["in memory", "through a lake"])
def look(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Read]:
    (tmp_path / "logs").mkdir()
    large = LARGE if request.param == "in memory" else -1
    return lambda: read(tmp_path / "logs", tmp_path / "scratch", large)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "RestApi.csv").write_text(PLAIN, encoding="utf-8", newline="")
    found = keys(read(folder, folder / "scratch", LARGE).found)
    assert len(found) > 3
    return found


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def lower(header: str) -> str:
    line, _, rest = header.partition("\n")
    return f"{line.lower()}\n{rest}"


SHAPES: dict[str, dict[str, bytes]] = {
    "byte order mark": {"RestApi.csv": PLAIN.encode("utf-8-sig")},
    "UTF-16": {"RestApi.csv": PLAIN.encode("utf-16")},
    "semicolons": {"RestApi.csv": PLAIN.replace('","', '";"').encode()},
    "tabs": {"RestApi.tsv": PLAIN.replace('","', '"\t"').encode()},
    "lower-case header": {"RestApi.csv": lower(PLAIN).encode()},
    "Windows line ends": {"RestApi.csv": PLAIN.replace("\n", "\r\n").encode()},
    "other column order": {"RestApi.csv": text(ROWS, NAMES[::-1]).encode()},
    "gzip": {"RestApi.csv.gz": gzip.compress(PLAIN.encode())},
    "no line end": {"RestApi.csv": PLAIN.rstrip("\n").encode()},
    "zip in folders": {"all.zip": zipped(("a/RestApi.csv", PLAIN.encode()), ("readme.md", b"hello"))},
    "twice": {"RestApi.csv": PLAIN.encode(), "copy.csv": PLAIN.encode()},
    "twice, other bytes": {"RestApi.csv": PLAIN.encode(), "RestApi-2.csv": PLAIN.encode("utf-8-sig")},
    "overlapping": {"RestApi-1.csv": text(ROWS[:40]).encode(), "RestApi-2.csv": text(ROWS[30:]).encode()},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_events_whatever_the_file_looks_like(
    look: Callable[[], Read], tmp_path: Path, expected: pd.DataFrame, shape: str
) -> None:
    for name, data in SHAPES[shape].items():
        (tmp_path / "logs" / name).write_bytes(data)
    found = look()
    pd.testing.assert_frame_equal(keys(found.found), expected)
    if "twice" in shape or shape == "overlapping":
        assert "read once" in found.said or "each counts once" in found.said


def test_a_file_cut_inside_its_last_quoted_value_does_not_count_twice(
    look: Callable[[], Read], tmp_path: Path, expected: pd.DataFrame
) -> None:
    """The last value is an open quote: the row looks whole and differs from the same row elsewhere."""
    cut = text(ROWS[:20])[: -len('Z"\n') - 3]
    assert cut.count('"') % 2
    (tmp_path / "logs" / "RestApi-1.csv").write_text(cut, encoding="utf-8", newline="")
    (tmp_path / "logs" / "RestApi-2.csv").write_text(PLAIN, encoding="utf-8", newline="")
    found = look()
    pd.testing.assert_frame_equal(keys(found.found), expected)
    assert "cut off inside quotes" in found.said


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "not even a header"),
    "shopping.csv": (b"what,how many\nmilk,2\n", "is not an event log"),
    "broken.parquet": (b"PAR1 and then nothing", "Parquet data is damaged"),
    "cut.csv.gz": (gzip.compress(PLAIN.encode())[:200], "gzip data is cut off"),
    "sheet.xlsx": (b"PK\x03\x04", "neither CSV nor Parquet"),
    "broken.zip": (b"PK\x03\x04 and then nothing", "cannot be unpacked"),
    "wide.csv": ((PLAIN + '"RestApi","x"\n' + PLAIN.split("\n")[1] + "\n").encode(), "do not fit the header"),
    "latin.csv": (PLAIN.replace("Contact", "Ö").encode("latin-1"), "not UTF-8"),
}


def test_each_problem_is_named_and_none_is_fatal(tmp_path: Path, expected: pd.DataFrame) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, (data, _) in BROKEN.items():
        (folder / name).write_bytes(data)
    (folder / "RestApi.csv").write_text(PLAIN, encoding="utf-8", newline="")
    few = [name for name in NAMES if name not in ("CLIENT_IP", "USER_AGENT")]
    (folder / "few.csv").write_text(text([{k: r[k] for k in few} for r in ROWS[:5]]), encoding="utf-8")
    pd.read_csv(io.StringIO(PLAIN), dtype=str, keep_default_na=False).to_parquet(folder / "RestApi.parquet")
    found = read(folder, tmp_path / "scratch", LARGE)
    for name, (_, said) in BROKEN.items():
        assert [line for line in found.said.splitlines() if line.startswith(name) and said in line], name
    assert "few.csv: column CLIENT_IP, USER_AGENT is missing" in found.said.replace(
        "METHOD, STATUS_CODE, ", ""
    ).replace("URI, ", "")
    once = keys(found.found).drop_duplicates("request_id")
    assert set(once["request_id"]) == set(expected["request_id"])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_larger_than_a_piece_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """Line breaks in values, bytes that are no UTF-8, and a last line cut off inside quotes."""
    monkeypatch.setattr(lake_parse, "BLOCK", 2_000)
    rows = [row | {"ENTITY_NAME": 'Con\r\ntact "x"' if n % 7 else "\udcff"} for n, row in enumerate(ROWS)]
    whole = text(rows).encode("utf-8", "surrogateescape")
    data = whole + whole.split(b"\n")[1][:-9]
    path = tmp_path / ("RestApi.csv.gz" if packed else "RestApi.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    parsed = list(lake_parse.parse([path], chunk=1_000))
    table = pd.concat([t.to_pandas() for one in parsed for t in one.tables], ignore_index=True)
    assert sum(len(one.tables) for one in parsed) > 3
    assert table["REQUEST_ID"].tolist() == [row["REQUEST_ID"] for row in ROWS]
    assert set(table["ENTITY_NAME"]) == {'Con\r\ntact "x"', "\ufffd"}
    said = " ".join(problem for one in parsed for problem in one.problems)
    assert "cut off inside quotes and was left out" in said
    assert "not UTF-8" in said


def test_records_in_archives_and_what_is_no_data(tmp_path: Path) -> None:
    csv = b"Id,LastName\n003000000000001AAA,Silva\n003000000000002AAA,Costa\n"
    (tmp_path / "export.zip").write_bytes(zipped(("Contact.csv", csv), ("../../Lead.csv", b"Id\n00Q1\n")))
    (tmp_path / "notes.docx").write_bytes(b"PK")
    found = read_records(tmp_path)
    assert found.tables["Contact"]["Id"].tolist() == ["003000000000001AAA", "003000000000002AAA"]
    assert any("notes.docx: is neither" in problem for problem in found.problems)
    assert not (tmp_path.parent / "Lead.csv").exists()
