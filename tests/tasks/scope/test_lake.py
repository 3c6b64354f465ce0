"""The lake takes files as they come, twice, half, late and overlapping, and holds each event once."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tasks.incident import Window
from tasks.scope import ingest as module
from tasks.scope.cube import read_cube
from tasks.scope.ingest import Keep, ingest, read_sums, stored_units
from tasks.scope.lake import Lake, Unit, part_of
from tasks.scope.lake_parse import UNKNOWN, parse, type_and_day
from tasks.scope.logs import join_logs, read_log
from tests.tasks.scope.lake_logs import COLUMNS, NOW, START, WINDOW, events, export, text

pytestmark = pytest.mark.slow  # kills and populations

ALL = Window(START - timedelta(days=1), NOW)
NAMES = COLUMNS["RestApi"].split()


def row(**values: str) -> dict[str, str]:
    one = dict.fromkeys(NAMES, "") | {
        "EVENT_TYPE": "RestApi",
        "TIMESTAMP": "20261122093000.250",
        "TIMESTAMP_DERIVED": "2026-11-22T09:30:00.250Z",
        "REQUEST_ID": "r1",
        "USER_ID": "005000000000001",
        "ROWS_PROCESSED": "7",
    }
    return one | values


def put(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def held(lake: Lake, kind: str = "RestApi") -> pd.DataFrame:
    return lake.events(kind, ALL, NOW)


def test_every_row_of_many_hourly_files_is_held_once_as_pandas_reads_it(tmp_path: Path) -> None:
    logged = events(3, 400)
    paths = export(tmp_path / "csv", logged)
    lake = Lake(tmp_path / "lake")
    first = ingest(tmp_path / "csv", lake)
    assert first.files == len(paths)
    for kind in COLUMNS:
        read = join_logs(read_log(path).events for path in paths if path.name.startswith(f"{kind}-"))
        found = held(lake, kind)
        key = list(read.columns)
        pd.testing.assert_frame_equal(
            found[key].sort_values(key, ignore_index=True), read.sort_values(key, ignore_index=True)
        )
    # The trap of many small files: the piece of work is a type-day, however many files it came in.
    assert len(first.units) == len(
        {(kind, row["TIMESTAMP"][:8]) for kind, rows in logged.items() for row in rows}
    )
    assert len(paths) > 5 * len(first.units)


def test_line_breaks_inside_quotes_on_the_edge_of_a_parsers_block(tmp_path: Path) -> None:
    """pandas' pyarrow engine reads small files of this kind and fails on large ones; lines are not rows."""
    rows = [row(REQUEST_ID=f"r{n}", ENTITY_NAME="Con\r\ntact\n" * (n % 9)) for n in range(60_000)]
    path = put(tmp_path / "csv", "RestApi.csv", text(rows))
    assert path.stat().st_size > 2 * 4 * 1024 * 1024
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert made.rows == len(rows)
    assert made.problems == ()
    assert path.read_bytes().count(b"\n") > len(rows) + 1
    found = held(lake).set_index("REQUEST_ID")["ENTITY_NAME"]
    assert found.loc["r8"] == "Con\r\ntact\n" * 8


def test_overlapping_hourly_and_daily_files_and_a_shared_request_id(tmp_path: Path) -> None:
    """A request id is no key: one call leaves several events. Only a row that is the same is dropped."""
    rows = [row(), row(ROWS_PROCESSED="8"), row(REQUEST_ID="r2")]
    put(tmp_path / "csv", "hour.csv", text(rows[:2]))
    put(tmp_path / "csv", "day.csv", text(rows))
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert (made.rows, made.duplicates) == (3, 2)
    assert Counter(held(lake)["REQUEST_ID"]) == {"r1": 2, "r2": 1}


def test_a_column_that_a_release_added_does_not_double_the_events(tmp_path: Path) -> None:
    old = text([row(), row(REQUEST_ID="r2")])
    new = text(
        [row(NEW_COLUMN="x"), row(REQUEST_ID="r3", NEW_COLUMN="y")], [*NAMES[:4], "NEW_COLUMN", *NAMES[4:]]
    )
    put(tmp_path / "csv", "old.csv", old)
    put(tmp_path / "csv", "new.csv", new)
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert (made.rows, made.duplicates) == (3, 1)
    assert "NEW_COLUMN" in made.problems[0]
    assert held(lake).set_index("REQUEST_ID")["NEW_COLUMN"].to_dict() == {"r1": "x", "r2": "", "r3": "y"}


def test_a_type_without_any_usual_column_still_counts_every_row(tmp_path: Path) -> None:
    """An engine that selects only literals may give one row for many."""
    rows = [
        {"EVENT_TYPE": "Odd", "TIMESTAMP_DERIVED": f"2026-11-22T09:00:{n:02d}Z", "X": str(n)}
        for n in range(40)
    ]
    put(tmp_path / "csv", "odd.csv", text(rows))
    lake = Lake(tmp_path / "lake")
    assert ingest(tmp_path / "csv", lake).rows == 40
    assert read_cube(lake, ["2026-11-22"])["events"].sum() == 40


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bom.csv", lambda b: b"\xef\xbb\xbf" + b),
        ("wide.csv", lambda b: b.decode().encode("utf-16")),
        ("packed.csv.gz", gzip.compress),
        ("windows.csv", lambda b: b.replace(b"\n", b"\r\n")),
        ("no_last_newline.csv", lambda b: b.rstrip(b"\n")),
        ("small_letters.csv", lambda b: b.split(b"\n", 1)[0].lower() + b"\n" + b.split(b"\n", 1)[1]),
    ],
)
def test_files_as_people_send_them(tmp_path: Path, name: str, change: object) -> None:
    rows = [row(REQUEST_ID=f"r{n}") for n in range(5)]
    put(tmp_path / "csv", name, change(text(rows).encode()))  # type: ignore[operator]
    lake = Lake(tmp_path / "lake")
    assert ingest(tmp_path / "csv", lake).rows == 5
    assert sorted(held(lake)["REQUEST_ID"]) == [f"r{n}" for n in range(5)]


def test_a_file_cut_off_inside_a_value_does_not_swallow_the_next(tmp_path: Path) -> None:
    whole = text([row(REQUEST_ID=f"a{n}") for n in range(20)])
    put(tmp_path / "csv", "1.csv", whole[: whole.rindex("a19") + 1])
    put(tmp_path / "csv", "2.csv", text([row(REQUEST_ID=f"b{n}") for n in range(20)]))
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert {f"b{n}" for n in range(20)} | {f"a{n}" for n in range(19)} == set(held(lake)["REQUEST_ID"])
    assert any("1.csv" in problem for problem in made.problems)


def test_wrong_bytes_short_lines_and_headers_alone_are_named(tmp_path: Path) -> None:
    good = text([row()]).encode()
    put(
        tmp_path / "csv",
        "bytes.csv",
        text([row(REQUEST_ID="r2", ENTITY_NAME="@")]).encode().replace(b"@", b"\xe9"),
    )
    put(tmp_path / "csv", "short.csv", good + b'"RestApi","2026"\n')
    put(tmp_path / "csv", "header.csv", good.split(b"\n")[0] + b"\n")
    put(tmp_path / "csv", "empty.csv", b"")
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert set(held(lake)["REQUEST_ID"]) == {"r1", "r2"}
    assert any("UTF-8" in problem for problem in made.problems)
    assert any("do not fit" in problem for problem in made.problems)
    assert ingest(tmp_path / "csv", lake).units == ()


def test_times_with_an_offset_and_days_of_the_wrong_file(tmp_path: Path) -> None:
    """A plain TIMESTAMP cast drops an offset; a row may lie in a file of another day."""
    rows = [
        row(REQUEST_ID="offset", TIMESTAMP_DERIVED="2026-11-22T00:30:00.000+02:00"),
        row(REQUEST_ID="compact", TIMESTAMP="20261124233000.000", TIMESTAMP_DERIVED=""),
        row(REQUEST_ID="undated", TIMESTAMP="?", TIMESTAMP_DERIVED=""),
    ]
    put(tmp_path / "csv", "mixed.csv", text(rows))
    lake = Lake(tmp_path / "lake")
    made = ingest(tmp_path / "csv", lake)
    assert any("no readable time" in problem for problem in made.problems)
    day = lambda n: Window(START + timedelta(days=n), START + timedelta(days=n + 1))  # noqa: E731
    ids = [set(lake.events("RestApi", day(n), NOW)["REQUEST_ID"]) for n in (1, 2, 4)]
    assert ids == [{"offset", "undated"}, {"undated"}, {"compact", "undated"}]


def test_originals_stay_with_their_hashes_and_a_replaced_day_beside_the_first(tmp_path: Path) -> None:
    path = put(tmp_path / "csv", "RestApi.csv", text([row()]))
    lake = Lake(tmp_path / "lake")
    ingest(tmp_path / "csv", lake)
    path.write_text(text([row(), row(REQUEST_ID="late")]), encoding="utf-8")
    again = ingest(tmp_path / "csv", lake)
    assert (again.files, again.rows) == (1, 2)
    folder = lake.originals(Unit("RestApi", "2026-11-22"))
    sums = read_sums(folder)
    assert len(sums) == 2
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0
    assert (folder / "RestApi.csv").stat().st_mode & 0o077 == 0


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    logged = events(4, 60)
    export(tmp_path / "csv", logged)
    lake = Lake(tmp_path / "lake")
    ingest(tmp_path / "csv", lake)
    before = {path: path.stat().st_mtime_ns for path in lake.path.rglob("*.parquet")}
    put(tmp_path / "csv", "late.csv", text([row(REQUEST_ID="late")]))
    made = ingest(tmp_path / "csv", lake)
    assert made.units == (Unit("RestApi", "2026-11-22"),)
    changed = {p for p, at in before.items() if p.stat().st_mtime_ns != at}
    assert changed == {lake.events_file(made.units[0]), lake.cube_file("2026-11-22")}


def test_a_file_name_from_outside_never_leaves_the_lake(tmp_path: Path) -> None:
    put(tmp_path / "csv", "x.csv", text([row(EVENT_TYPE="../../evil")]))
    assert type_and_day(tmp_path / "csv" / "x.csv") == (UNKNOWN, "2026-11-22")
    lake = Lake(tmp_path / "lake")
    ingest(tmp_path / "csv", lake)
    assert lake.units() == [Unit(UNKNOWN, "2026-11-22")]


def test_a_unit_larger_than_one_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        put(tmp_path / "csv", f"{n}.csv", text([row(REQUEST_ID=f"r{n}-{m}") for m in range(50)]))
    monkeypatch.setattr(module, "parse", lambda files: parse(files, chunk=20_000))
    lake = Lake(tmp_path / "lake")
    assert ingest(tmp_path / "csv", lake).rows == 300
    assert held(lake)["REQUEST_ID"].nunique() == 300
    assert list(lake.path.rglob("*.chunks")) == []


def state(lake: Lake) -> dict[str, pd.DataFrame]:
    frames = {kind: held(lake, kind) for kind in COLUMNS}
    frames = {kind: rows.sort_values(list(rows.columns), ignore_index=True) for kind, rows in frames.items()}
    return frames | {"cube": read_cube(lake, [f"2026-11-{day}" for day in range(20, 26)])}


SCRIPT = """
import sys
from pathlib import Path
from tasks.scope.ingest import ingest
from tasks.scope.lake import Lake
print("go", flush=True)
ingest(Path(sys.argv[1]), Lake(Path(sys.argv[2])))
"""


@pytest.mark.parametrize("after_s", [0.02, 0.3, 0.8, 1.6])
def test_killed_at_any_moment_and_run_again(tmp_path: Path, after_s: float) -> None:
    export(tmp_path / "csv", events(5, 300))
    whole = Lake(tmp_path / "whole")
    ingest(tmp_path / "csv", whole)
    lake = Lake(tmp_path / "lake")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "csv"), str(lake.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGKILL)
    # What a kill may leave behind: parts, a half written unit under its own name, an original without a hash.
    for unit in stored_units(lake)[:1]:
        lake.events_file(unit).parent.mkdir(parents=True, exist_ok=True)
        lake.events_file(unit).write_bytes(b"PAR1 half")
        part_of(lake.events_file(unit)).write_bytes(b"part")
        (lake.originals(unit) / "SHA256SUMS").unlink()
    ingest(tmp_path / "csv", lake)
    expected, found = state(whole), state(lake)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame)
    assert ingest(tmp_path / "csv", lake).units == ()


def test_the_cube_counts_every_event_and_gives_queries_to_who_held_the_session(tmp_path: Path) -> None:
    logged = events(6, 500)
    export(tmp_path / "csv", logged)
    lake = Lake(tmp_path / "lake")
    ingest(tmp_path / "csv", lake, keep=Keep.LINK)
    cube = read_cube(lake, [f"2026-11-{day}" for day in range(20, 26)])
    assert cube["events"].sum() == sum(len(rows) for rows in logged.values())
    assert cube["queries"].sum() == len(logged["UniqueQuery"])
    day = "20261122"
    holders: dict[str, set[str]] = {}
    for kind, rows in logged.items():
        for one in rows:
            if (
                kind != "UniqueQuery"
                and one["TIMESTAMP"].startswith(day)
                and one.get("SESSION_KEY", "") != ""
            ):
                holders.setdefault(one["SESSION_KEY"], set()).add(one["USER_ID"])
    expected = Counter(
        min(holders[one["SESSION_KEY"]])
        for one in logged["UniqueQuery"]
        if one["TIMESTAMP"].startswith(day) and one["SESSION_KEY"] in holders
    )
    of_day = cube[
        (cube["hour"].dt.strftime("%Y%m%d") == day) & (cube["queries"] > 0) & (cube["principal"] != "")
    ]
    assert of_day.groupby("principal")["queries"].sum().to_dict() == dict(expected)


def test_pruning_reads_only_the_days_of_the_window(tmp_path: Path) -> None:
    export(tmp_path / "csv", events(7, 200))
    lake = Lake(tmp_path / "lake")
    ingest(tmp_path / "csv", lake)
    chosen = {unit.day for unit, _ in lake.inside(WINDOW, NOW)}
    assert chosen == {"2026-11-22", "2026-11-23"} | ({"2026-11-24"} if "2026-11-24" in chosen else set())
    for unit in lake.units():
        if unit.day not in chosen:
            lake.events_file(unit).write_bytes(b"not read")
    assert len(lake.events("RestApi", WINDOW, NOW))


def test_the_engine_is_of_the_pinned_generation() -> None:
    """DuckDB renames between generations; the calls used here exist in 1.4 to 2."""
    assert duckdb.__version__.split(".")[0] in ("1", "2")
