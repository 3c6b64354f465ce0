"""The job over the lake finds what attributing all events in pandas finds, whatever runs its days."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from tasks.incident import Window
from tasks.scope.attribution import Attribution, Marks, Own, attribute
from tasks.scope.engine import Engine
from tasks.scope.ingest import Keep, ingest
from tasks.scope.lake import Lake
from tasks.scope.lake_job import Found, features, find, suspect_events
from tasks.scope.lake_people import Population, build_people
from tasks.scope.logs import join_logs, read_log
from tasks.scope.population import Source
from tests.tasks.scope.lake_logs import NOW, WINDOW, events, export

OWN = Own("own-", "005000000000003")
MARKS = {
    "app": Marks(apps=frozenset({"0H4000000000001"})),
    "user": Marks(users=frozenset({"005000000000004AAA"}), user_names=frozenset({"USER5@example.com"})),
    "name": Marks(app_names=frozenset({"Mail"}), sessions=frozenset({"S77"})),
    "own": Marks(users=frozenset({"005000000000003"})),
}
CONTACT = Source("Contact", True, ("Email",), last_name="LastName", country=("Country",), has_modstamp=False)


def made(
    folder: Path, seed: int = 1, count: int = 150, engine: Engine | None = None
) -> tuple[Lake, dict[str, pd.DataFrame]]:
    logged = events(seed, count)
    paths = export(folder / "csv", logged)
    lake = Lake(folder / "lake", engine)
    ingest(folder / "csv", lake, keep=Keep.LINK)
    frames: dict[str, list[pd.DataFrame]] = {}
    for path in paths:
        frames.setdefault(path.name.split("-")[0], []).append(read_log(path).events)
    people = pd.DataFrame(
        {
            "Id": [f"003{n:012d}AAA" for n in range(150)],
            "Email": [f"p{n // 2}@example.com" for n in range(150)],
            "LastName": "Silva",
            "Country": [("DE", "US", "")[n % 3] for n in range(150)],
        }
    )
    people.to_parquet(folder / "Contact.parquet", index=False)
    population = Population(
        {"Contact": folder / "Contact.parquet"}, [CONTACT], {"Contact": {"Email": 1, "LastName": 2}}
    )
    build_people(lake, population, "test")
    return lake, {kind: join_logs(parts) for kind, parts in frames.items()}


def summed(attribution: Attribution) -> pd.DataFrame:
    counted = attribution.events.assign(principal=attribution.events["user"].str[:15])
    return counted.groupby(["type", "principal", "certain"]).size().rename("events").reset_index()


@pytest.mark.parametrize("own", [None, OWN], ids=["all", "without our own"])
@pytest.mark.parametrize("name", MARKS)
def test_the_search_finds_what_attributing_everything_finds(
    tmp_path: Path, name: str, own: Own | None
) -> None:
    lake, logs = made(tmp_path, seed=len(name), count=60)
    inside = Window(WINDOW.start, WINDOW.start + timedelta(hours=16))
    at = {
        kind: pd.to_datetime(rows["TIMESTAMP"], format="%Y%m%d%H%M%S.%f", utc=True)
        for kind, rows in logs.items()
    }
    in_window = {
        kind: rows[(at[kind] >= inside.start) & (at[kind] <= inside.end)].reset_index(drop=True)
        for kind, rows in logs.items()
    }
    expected = attribute(in_window, MARKS[name], inside, now=NOW, own=own)
    found = find(lake, MARKS[name], inside, now=NOW, own=own)
    columns = ["type", "principal", "certain", "events"]
    pd.testing.assert_frame_equal(
        found.sums[columns].sort_values(columns, ignore_index=True),
        summed(expected)[columns].sort_values(columns, ignore_index=True),
        check_dtype=False,
    )
    assert found.known.marks.machines == expected.marks.machines
    again = attribute(
        suspect_events(lake, found.known, inside, now=NOW, own=own), MARKS[name], inside, now=NOW, own=own
    )
    keys = [*columns[:1], "at", "certain", "why", "session", "request_id"]
    pd.testing.assert_frame_equal(
        again.events[keys].sort_values(keys, ignore_index=True),
        expected.events[keys].sort_values(keys, ignore_index=True),
    )
    assert 0 < len(again.events) < sum(len(rows) for rows in logs.values())


def test_records_people_and_bounds(tmp_path: Path) -> None:
    lake, logs = made(tmp_path)
    found = find(lake, MARKS["user"], WINDOW, now=NOW, kinds=("contact", "name"))
    rows = attribute(logs, MARKS["user"], WINDOW, now=NOW, own=None)
    api = rows.of_type("ApiEvent")
    named = api.assign(id=api["RECORDS"].str.findall(r'"(\w{15})\w{3}"')).explode("id").dropna(subset=["id"])
    expected = named.groupby("id")["certain"].max()
    assert found.records.set_index("id")["certain"].to_dict() == expected.to_dict()
    unknown = found.records[found.records["person"] < 0]
    assert set(unknown["id"]) == {one for one in expected.index if int(one[3:]) >= 150}
    assert (unknown["residence"] == "").all()
    table = found.table.set_index(["residence", "kind"])
    known = found.records[(found.records["person"] >= 0) & (found.records["residence"] == "DE")]
    assert table.loc[("DE", "contact"), "records_upper"] == len(known)
    assert table.loc[("DE", "contact"), "records_lower"] == known["certain"].sum()
    assert table.loc[("DE", "name"), "people_upper"] == known["person"].nunique()
    assert (found.table["people_lower"] <= found.table["people_upper"]).all()


def same(one: Found, other: Found) -> None:
    assert one.known == other.known
    for name in ("sums", "records", "features", "table"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_other_processes_give_the_same_answer(tmp_path: Path) -> None:
    lake, _ = made(tmp_path)
    here = find(lake, MARKS["app"], WINDOW, now=NOW, own=OWN, kinds=("contact",))
    with ProcessPoolExecutor(2) as pool:
        same(here, find(lake, MARKS["app"], WINDOW, now=NOW, own=OWN, kinds=("contact",), mapper=pool.map))
    same(here, find(lake, MARKS["app"], WINDOW, now=NOW, own=OWN, kinds=("contact",), mapper=map))


def test_features_compare_the_window_with_the_days_before(tmp_path: Path) -> None:
    lake, logs = made(tmp_path, count=300)
    found = features(lake, WINDOW, NOW).set_index("principal")
    rows = pd.concat(
        [
            frame.assign(ip=frame.get("CLIENT_IP", frame.get("SOURCE_IP")))
            for frame in logs.values()
            if "USER_ID" in frame
        ]
    )
    at = pd.to_datetime(rows["TIMESTAMP"], format="%Y%m%d%H%M%S.%f", utc=True)
    read = pd.to_numeric(rows.get("ROWS_PROCESSED"), errors="coerce").fillna(
        pd.to_numeric(rows["ROWS_RETURNED"], errors="coerce")
    )
    hour = at.dt.floor("h")
    inside = (hour >= WINDOW.start) & (hour <= WINDOW.end)
    mine = rows["USER_ID"] == "005000000000004"
    peaks = read.fillna(0)[mine].groupby([hour[mine], inside[mine]]).sum()
    one = found.loc["005000000000004"]
    assert one["peak_rows"] == peaks[peaks.index.get_level_values(1)].max()
    assert (
        one["base_peak_rows"]
        == peaks[~peaks.index.get_level_values(1) & (peaks.index.get_level_values(0) < WINDOW.start)].max()
    )
    before = set(rows["ip"][mine & (hour < WINDOW.start)])
    assert one["new_ips"] == len(set(rows["ip"][mine & inside]) - before - {""})


def test_a_tiny_memory_limit_spills_to_disk_and_gives_the_same_answer(tmp_path: Path) -> None:
    lake, _ = made(tmp_path, count=40)
    tiny = Engine(memory="50MB", threads=1, temp=tmp_path / "spill")
    keys = pd.Series(range(1_000_000), dtype="int64").astype("str")
    big = pd.DataFrame({"k": keys + "-a-key-that-takes-its-room-", "v": keys + "-and-another"})
    big.to_parquet(tmp_path / "big.parquet")
    with tiny.connect() as db:
        db.execute(
            f"CREATE TEMP TABLE t AS SELECT k || v AS k, v FROM read_parquet('{tmp_path}/big.parquet')"
        )
        spilled = db.execute("SELECT sum(temporary_storage_bytes) FROM duckdb_memory()").fetchall()[0][0]
        assert spilled > 10_000_000
        assert db.execute("SELECT count(*) FROM (SELECT k, count(*) FROM t GROUP BY k)").fetchall() == [
            (len(big),)
        ]
        assert list((tmp_path / "spill").iterdir())
    assert list((tmp_path / "spill").iterdir()) == [], "spill files are removed"
    small = Lake(lake.path, tiny)
    same(find(lake, MARKS["app"], WINDOW, now=NOW), find(small, MARKS["app"], WINDOW, now=NOW))
