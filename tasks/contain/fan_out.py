"""Run one call over many items on a bounded number of threads; collect what failed instead of stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
WIDTH = 32  # calls in flight: more gains nothing against Salesforce's 25 long requests and our own sockets


def fan_out(call: Callable[[T], object], items: Iterable[T], width: int = WIDTH) -> list[tuple[T, Exception]]:
    """Call `call(item)` for each item, `width` at a time; returns the items that raised, with the error.

    `items` may be a generator that itself waits for pages: calls start as soon as the first item is there.
    """
    failed: list[tuple[T, Exception]] = []
    running: dict[Future[object], T] = {}

    def collect(done: Iterable[Future[object]]) -> None:
        for future in done:
            item = running.pop(future)
            error = future.exception()
            if isinstance(error, Exception):
                failed.append((item, error))
            elif error is not None:
                raise error

    with ThreadPoolExecutor(width, thread_name_prefix="fan-out") as pool:
        for item in items:
            running[pool.submit(call, item)] = item
            if len(running) >= width * 4:
                collect(wait(running, return_when=FIRST_COMPLETED).done)
        collect(wait(running).done)
    return failed
