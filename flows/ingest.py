"""Ingest: bring exported event logs into the lake, so that an incident has nothing large to parse.

Run it as files arrive. The work is cut by event type and day; `LEAK_RESPONSE_TASK_RUNNER` says what runs
the pieces: `threads` (this machine), `dask` (workers started here) or `dask:tcp://HOST:PORT` (a cluster that
shares the lake's folder). The lake is the same whatever ran them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from blocks.errors import BadInput
from tasks.incident import home
from tasks.scope.engine import Engine
from tasks.scope.ingest import Keep
from tasks.scope.ingest import ingest as bring_in
from tasks.scope.lake import Lake

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
def ingest(folder: str, lake: str = "", keep: Keep = Keep.COPY) -> State[str]:
    """Bring a folder of event log files into the lake; run it again at any time, nothing is done twice.

    Args:
        folder: Where the exported CSV files are, plain or gzipped.
        lake: Where the lake is kept; by default in the product's home folder.
        keep: Whether originals are copied into the lake or linked (where nobody changes the source folder).
    """
    source = Path(folder)
    if not source.is_dir():
        raise BadInput(f"{folder} is not a folder.", "Name the folder that holds the event log files.")
    made = bring_in(source, Lake(Path(lake) if lake else home() / "lake", PIECE), keep=keep, mapper=by_tasks)
    logger = get_run_logger()
    for problem in made.problems:
        logger.warning("%s", problem)
    return Completed(
        message=f"{made.files} new files; {len(made.units)} type-days made: {made.rows} events, "
        f"{made.duplicates} duplicates left out, {len(made.problems)} problems named"
    )
