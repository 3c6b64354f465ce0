"""Query locators: the rest of a result, read on a thread of its own as the client asks for pages."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from deployments.lab.salesforce.query import Result, Row
from deployments.lab.salesforce.wire import ApiError

OPEN_PER_USER = 10  # as in an org: the oldest is dropped
IDLE_S = 900


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query call asked, for the events of its pages. `seen`: real-time events see its API."""

    text: str
    operation: str
    entity: str
    seen: bool = True


class Cursor:
    """One open result. SQLite rows are read by the thread that began: so it keeps its own."""

    def __init__(self, user_id: str, page_size: int, begin: Callable[[], Result], asked: Asked) -> None:
        self.id = f"0r8{secrets.token_hex(6)}AAA"
        self.user_id = user_id
        self.page_size = page_size
        self.asked = asked
        self.total = 0
        self.entity = ""
        self.used = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cursor")
        self._lock = threading.Lock()
        self._next = 0
        self._last: tuple[int, list[Row]] = (-1, [])
        self._rows: Iterator[Row] = iter(())
        self._thread.submit(self._begin, begin).result()

    def _begin(self, begin: Callable[[], Result]) -> None:
        result = begin()
        self.total = result.total
        self.entity = result.entity
        self._rows = iter(result.rows)

    def page(self, offset: int) -> list[Row]:
        """The page at this offset: the next one, or the last one again for a client that retries."""
        with self._lock:
            self.used = time.monotonic()
            if offset == self._last[0]:
                return self._last[1]
            if offset != self._next:
                raise invalid_locator()
            rows = self._thread.submit(lambda: list(islice(self._rows, self.page_size))).result()
            self._last = (offset, rows)
            self._next = offset + len(rows)
            return rows

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Cursors:
    """The open cursors of the org. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Cursor] = {}

    def add(self, cursor: Cursor) -> None:
        with self._lock:
            mine = [c for c in self._open.values() if c.user_id == cursor.user_id]
            idle = [c for c in self._open.values() if time.monotonic() - c.used > IDLE_S]
            for old in {c.id: c for c in [*mine[: len(mine) - OPEN_PER_USER + 1], *idle]}.values():
                self._open.pop(old.id).close()
            self._open[cursor.id] = cursor

    def find(self, cursor_id: str, user_id: str) -> Cursor:
        found = self._open.get(cursor_id)
        if found is None or found.user_id != user_id:
            raise invalid_locator()
        return found

    def done(self, cursor: Cursor) -> None:
        """The client has the last page; it may still ask for it again, so the rows stay, the thread goes."""
        cursor.close()


def invalid_locator() -> ApiError:
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
