"""The ingest flow by threads and over a Dask cluster: the same lake, the same answer to the same question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from blocks.errors import BadInput
from flows.ingest import PIECE, by_tasks, ingest, task_runner
from tasks.scope.attribution import Marks
from tasks.scope.lake import Lake
from tasks.scope.lake_job import Found, find
from tasks.scope.lake_people import Population, build_people
from tasks.scope.population import Source
from tests.tasks.scope.lake_logs import COLUMNS, NOW, WINDOW, events, export

MARKS = Marks(apps=frozenset({"0H4000000000001"}))
CONTACT = Source("Contact", True, ("Email",), last_name="LastName", country=("Country",), has_modstamp=False)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness():
        yield


def filled(folder: Path, runner: str) -> Lake:
    state = ingest.with_options(task_runner=task_runner(runner))(
        str(folder / "csv"), str(folder / runner), return_state=True
    )
    assert "0 problems" in str(state.message)
    lake = Lake(folder / runner, PIECE)
    people = pd.DataFrame(
        {"Id": [f"003{n:012d}AAA" for n in range(200)], "LastName": "Silva", "Country": "DE"}
    )
    people.assign(Email=[f"p{n // 2}@x.com" for n in range(200)]).to_parquet(
        folder / "Contact.parquet", index=False
    )
    build_people(
        lake,
        Population({"Contact": folder / "Contact.parquet"}, [CONTACT], {"Contact": {"Email": 1}}),
        "test",
    )
    return lake


def asked(lake: Lake, runner: str) -> Found:
    @flow(task_runner=task_runner(runner))
    def ask() -> Found:
        return find(lake, MARKS, WINDOW, now=NOW, kinds=("contact",), mapper=by_tasks)

    return ask()


def test_threads_and_two_dask_workers_give_the_same_answer(tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="needs the extra `dask`: pip install prefect-dask")
    export(tmp_path / "csv", events(9, 80))
    lakes = {runner: filled(tmp_path, runner) for runner in ("threads", "dask")}
    for kind in COLUMNS:
        held = [lake.events(kind, WINDOW, NOW) for lake in lakes.values()]
        one, other = (rows.sort_values(list(rows.columns), ignore_index=True) for rows in held)
        pd.testing.assert_frame_equal(one, other)
    answers = [asked(lake, runner) for runner, lake in lakes.items()]
    answers.append(find(lakes["dask"], MARKS, WINDOW, now=NOW, kinds=("contact",)))
    for answer in answers[1:]:
        assert answer.known == answers[0].known
        for name in ("sums", "records", "features", "table"):
            pd.testing.assert_frame_equal(getattr(answers[0], name), getattr(answer, name))
    assert len(answers[0].records)


def test_the_flow_by_threads_twice(tmp_path: Path) -> None:
    export(tmp_path / "csv", events(9, 40), hourly=False)
    first = ingest(str(tmp_path / "csv"), str(tmp_path / "lake"), return_state=True)
    assert "200 events" in str(first.message)
    again = ingest(str(tmp_path / "csv"), str(tmp_path / "lake"), return_state=True)
    assert "0 new files; 0 type-days made" in str(again.message)


def test_records_are_resolved_to_people(tmp_path: Path) -> None:
    """Capitals, another separator and a record that stands in two files."""
    folder = tmp_path / "records"
    folder.mkdir()
    rows = [f"003{n:012d}AAA,Ana,Silva,p{n // 2}@x.com,2026-11-01T00:00:00Z" for n in range(10)]
    head = "ID,FIRSTNAME,LASTNAME,EMAIL,SYSTEMMODSTAMP"
    (folder / "Contact-1.csv").write_text("\n".join([head, *rows[:6]]) + "\n", encoding="utf-8")
    semicolons = "\n".join([head, *rows[5:]]).replace(",", ";")
    (folder / "Contact-2.csv").write_text(semicolons + "\n", encoding="utf-8-sig")
    (folder / "Note.csv").write_text("What\nnothing\n", encoding="utf-8")
    state = ingest(records=str(folder), lake=str(tmp_path / "lake"), return_state=True)
    assert "10 records are about 5 people" in str(state.message)
    assert "records were there twice" in str(state.message)
    assert "no Id column" in str(state.message)
    with pytest.raises(BadInput, match="Nothing to bring in"):
        ingest()


def test_bad_settings_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not known"):
        task_runner("spark")
    with pytest.raises(BadInput, match="not a folder"):
        ingest(str(tmp_path / "none"), str(tmp_path / "lake"))
