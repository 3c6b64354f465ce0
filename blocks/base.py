"""What all blocks have in common: live clients that stay out of copies, pickles and run history."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar, cast

from prefect.blocks.core import Block
from pydantic import PrivateAttr

from blocks.check import Check

T = TypeVar("T")


def user_agent() -> str:
    """Our own User-Agent: investigators must be able to tell the responder from the attacker."""
    try:
        return f"leak-response/{version('salesforce-leak-response')}"
    except PackageNotFoundError:
        return "leak-response/0"


class Live:
    """Clients a block has made so far. Thread-safe; a copy or pickle of it starts empty."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[Hashable, object] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The object made under `key`, made now if it is the first time; two threads get the same one."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return cast(T, self._made[key])

    def __reduce__(self) -> tuple[type[Live], tuple[()]]:
        return (Live, ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Live)

    __hash__ = None  # type: ignore[assignment]


class SystemBlock(Block):
    """A system this product talks to: configuration that can be shown, and a `check` for preflight."""

    _live: Live = PrivateAttr(default_factory=Live)

    @abstractmethod
    def check(self) -> list[Check]:
        """Reachability, credentials and permissions, each with its fix. Changes nothing."""

    def get_client(self) -> Any:
        """The system's own client, ready to use, shared between threads."""
        raise NotImplementedError
