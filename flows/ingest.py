"""Ingest: bring event logs and records into the lake, so that an incident has nothing large to parse.

Run it as files arrive, and every night for who is who. The work is cut by event type and day;
`LEAK_RESPONSE_TASK_RUNNER` says what runs the pieces: `threads` (this machine), `dask` (workers started here)
or `dask:tcp://HOST:PORT` (a cluster that shares the lake's folder). The lake is the same whatever ran them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from blocks.errors import BadInput
from blocks.systems import Systems
from tasks.incident import home
from tasks.scope.engine import Engine
from tasks.scope.ingest import Ingested, Keep
from tasks.scope.ingest import ingest as bring_in
from tasks.scope.lake import Lake
from tasks.scope.lake_org import bring_logs, bring_people
from tasks.scope.lake_people import PeopleMap
from tasks.scope.lake_records import ingest_records, resolve_stored
from tasks.scope.reader import OrgReader

SETTING = "LEAK_RESPONSE_TASK_RUNNER"
WORKERS = 2
PIECE = Engine(memory="700MB", threads=1)


def task_runner(setting: str) -> TaskRunner[Any]:
    """What runs the pieces. Raises BadInput for an unknown setting or where Dask is not installed."""
    kind, _, address = setting.partition(":")
    if kind in ("", "threads"):
        return ThreadPoolTaskRunner(max_workers=WORKERS)
    if kind != "dask":
        raise BadInput(f"{SETTING}={setting} is not known.", "Use threads, dask or dask:tcp://HOST:PORT.")
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError:
        raise BadInput(
            f"{SETTING}={setting}, but prefect-dask is not installed.",
            "Install the extra: pip install 'salesforce-leak-response[dask]'.",
        ) from None
    if address:
        return DaskTaskRunner(address=address)  # type: ignore[no-any-return]
    return DaskTaskRunner(cluster_kwargs={"n_workers": WORKERS, "threads_per_worker": 1})  # type: ignore[no-any-return]


@task(name="piece", cache_policy=NO_CACHE, persist_result=False)
def piece(function: Callable[[Any], Any], item: Any) -> Any:
    """One type and day, or one day."""
    return function(item)


def by_tasks(function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    """A mapper for the functions of the lake that runs each item as a Prefect task of the current flow."""
    futures = piece.map(unmapped(function), list(items))
    return [future.result() for future in futures]


@flow(name="ingest", task_runner=task_runner(os.environ.get(SETTING, "")))
def ingest(
    folder: str = "", lake: str = "", keep: Keep = Keep.COPY, records: str = "", plan: str = ""
) -> State[str]:
    """Bring event logs and records into the lake; run it again at any time, nothing is done twice.

    Args:
        folder: Where exported log files are: CSV, plain or gzipped.
        lake: Where the lake is kept; by default in the product's home folder, where scoping looks for it.
        keep: Whether originals are copied into the lake or linked (where nobody changes the source folder).
        records: Where exported records are; who is who among all of them is worked out, too.
        plan: Name of the saved systems whose org is asked for its log files and its population; every night.
    """
    if not (folder or records or plan):
        raise BadInput("Nothing to bring in.", "Give a folder of logs, one of records, or the plan's name.")
    target = Lake(Path(lake) if lake else home() / "lake", PIECE)
    made: list[Ingested] = []
    said: list[str] = []
    if folder:
        made.append(bring_in(existing(folder), target, keep=keep, mapper=by_tasks))
    if plan:
        reader, now = OrgReader(Systems.load(plan).salesforce), datetime.now(UTC)
        made.append(bring_logs(reader, target, now=now, mapper=by_tasks))
        said.append(told(bring_people(reader, Lake(target.path), now=now)))
    if records:
        stored = ingest_records(existing(records), target)
        said += [told(resolve_stored(stored, Lake(target.path))), *stored.problems]
    logger = get_run_logger()
    for problem in [problem for one in made for problem in one.problems]:
        logger.warning("%s", problem)
    return Completed(message="; ".join([*map(summary, made), *said]))


def existing(folder: str) -> Path:
    """The folder. Raises BadInput where it is none."""
    if not Path(folder).is_dir():
        raise BadInput(f"{folder} is not a folder.", "Name the folder that holds the exported files.")
    return Path(folder)


def summary(made: Ingested) -> str:
    """What one run did with log files, in one sentence."""
    return (
        f"{made.files} new files; {len(made.units)} type-days made: {made.rows} events, "
        f"{made.duplicates} duplicates left out, {len(made.problems)} problems named"
    )


def told(people: PeopleMap) -> str:
    """What resolving came to, in counts."""
    return f"{people.records} records are about {people.people} people; {people.crowds} keys join nobody"
