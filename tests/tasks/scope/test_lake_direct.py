"""Straight from exported files the answer is the lake's, also where files overlap, differ or repeat."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.scope import lake_direct
from tasks.scope.attribution import Marks, Own
from tasks.scope.ingest import Keep, ingest
from tasks.scope.lake import Lake
from tasks.scope.lake_direct import find_in_files
from tasks.scope.lake_job import find
from tasks.scope.lake_people import Population, build_people
from tasks.scope.lake_records import ingest_records
from tasks.scope.population import Source
from tests.tasks.scope.lake_logs import NOW, WINDOW, events, export, text

OWN = Own("own-", "005000000000003")
MARKS = {
    "app": Marks(apps=frozenset({"0H4000000000001"})),
    "own": Marks(users=frozenset({"005000000000003"})),
}
CONTACT = Source("Contact", True, ("Email",), last_name="LastName", country=("Country",), has_modstamp=False)
MASKS = {"Contact": {"Email": 1, "LastName": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly files, one day's daily file over some of them, one without a column, one twice."""
    base = tmp_path_factory.mktemp("exports")
    logged = events(11, 60)
    paths = export(base / "logs", logged)
    day = [row for row in logged["RestApi"] if row["TIMESTAMP"].startswith("20261123")]
    (base / "logs" / "RestApi-20261123-daily.csv").write_text(text(day), encoding="utf-8", newline="")
    few = [name for name in logged["Login"][0] if name != "BROWSER_TYPE"]
    later = [{name: row[name] for name in few} for row in logged["Login"] if "20261122" in row["TIMESTAMP"]]
    (base / "logs" / "Login-20261122-few.csv").write_text(text(later), encoding="utf-8", newline="")
    query = next(path for path in paths if path.name.startswith("UniqueQuery-20261123"))
    (base / "logs" / "UniqueQuery-again.csv").write_bytes(query.read_bytes())
    (base / "records").mkdir()
    rows = [f"003{n:012d}AAA,Silva,p{n // 2}@example.com,{('DE', 'US', '')[n % 3]}" for n in range(150)]
    for part, some in (("1", rows[:90]), ("2", rows[80:])):
        lines = "\n".join(["Id,LastName,Email,Country", *some]) + "\n"
        (base / "records" / f"Contact-{part}.csv").write_text(lines, encoding="utf-8")
    return base


@pytest.fixture(scope="module")
def lake(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("lake"))
    ingest(folder / "logs", made, keep=Keep.LINK)
    stored = ingest_records(folder / "records", made)
    assert any("10 records were there twice" in problem for problem in stored.problems)
    build_people(made, Population(stored.files, [CONTACT], MASKS), "test")
    return made


@pytest.mark.parametrize("batch", [1, 10**9], ids=["day by day", "all at once"])
@pytest.mark.parametrize("own", [None, OWN], ids=["all", "without our own"])
@pytest.mark.parametrize("name", MARKS)
def test_files_and_lake_give_the_same(
    folder: Path,
    lake: Lake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    own: Own | None,
    batch: int,
) -> None:
    monkeypatch.setattr(lake_direct, "BATCH", batch)
    kinds = ("contact", "name")
    prepared = find(lake, MARKS[name], WINDOW, now=NOW, own=own, kinds=kinds)
    direct = find_in_files(
        folder / "logs", folder / "records", tmp_path / "scratch", [CONTACT], MASKS, MARKS[name], WINDOW,
        now=NOW, own=own, kinds=kinds,
    )  # fmt: skip
    assert prepared.known == direct.known
    assert len(prepared.records)
    for table in ("sums", "features", "table"):
        pd.testing.assert_frame_equal(getattr(prepared, table), getattr(direct, table))
    known = ["id", "certain", "object", "residence", "kinds"]
    pd.testing.assert_frame_equal(prepared.records[known], direct.records[known])
    assert prepared.records["person"].nunique() == direct.records["person"].nunique()
    assert not (tmp_path / "scratch").exists()


def test_small_files_make_few_pieces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of thousands of small files: the engine is handed days of them at once."""
    files = len(list((folder / "logs").iterdir()))
    assert len(list(lake_direct._batches(folder / "logs", WINDOW, NOW))) == 1
    monkeypatch.setattr(lake_direct, "BATCH", 1)
    assert len(list(lake_direct._batches(folder / "logs", WINDOW, NOW))) <= 6 < files / 10


def test_pandas_never_parses_csv_by_its_pyarrow_engine() -> None:
    """That engine passes on small files with line breaks in values and fails on large ones."""
    for path in Path(lake_direct.__file__).parent.glob("*.py"):
        assert "read_csv(" not in path.read_text(encoding="utf-8").replace("pacsv.read_csv(", ""), path.name
