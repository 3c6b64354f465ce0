"""Numbers everything containment does to the outside: each call, and each write to the ledger.

`watch` puts itself under the four clients and the ledger, in the process that it is called in. The order of
concurrent calls differs between runs, so a moment is named by what is done and for the how-maniest time,
not by a running number.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import botocore.httpsession
import psycopg
import requests.adapters

from deployments.lab.fault_proxy import route_of
from tasks.evidence import ledger

_FROM = re.compile(r"FROM\+(\w+)|FROM%20(\w+)", re.IGNORECASE)
_ACTION = re.compile(rb"Action=(\w+)")
READS = ("GET", "HEAD", "LIST")
# POSTs that only look; dying after them is dying before the next thing.
LOOKS = ("lookup-accessor", "sys/leases/lookup", "capabilities-self", "Get", "List", "Simulate", "audit-hash")

Moment = Callable[[str], None]


def watch(moment: Moment) -> None:
    """From now on `moment(name)` is called before and after each call and write. Not to be undone."""
    _watch_requests(moment)
    _watch_botocore(moment)
    _watch_psycopg(moment)
    _watch_ledger(moment)


class Counted:
    """Numbers moments by name; `at` makes it kill the process at one of them."""

    def __init__(self, at: str = "") -> None:
        self.at = at
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self._seen[name] += 1
            if f"{name} #{self._seen[name]}" == self.at:
                os.kill(os.getpid(), 9)

    def names(self) -> list[str]:
        """Every moment met, `name #n`."""
        return [f"{name} #{n + 1}" for name, count in self._seen.items() for n in range(count)]


def salesforce_or_vault(request: Any) -> str:
    """Name of a call through requests."""
    url = urlsplit(str(request.url))
    path = re.sub(r"/services/data/v\d+\.\d/", "sf/", route_of(url.path)).replace("/services/", "sf/")
    query = _FROM.search(url.query)
    return f"{request.method} {path}{' ' + next(filter(None, query.groups())) if query else ''}"


def aws_call(request: Any) -> str:
    """Name of a call through botocore."""
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    action = _ACTION.search(body)
    target = request.headers.get("X-Amz-Target", b"")
    shown = target.decode() if isinstance(target, bytes) else str(target)
    url = urlsplit(str(request.url))
    return (
        f"aws {action[1].decode() if action else shown or request.method + ' ' + url.path + _sub(url.query)}"
    )


def _sub(query: str) -> str:
    return f"?{query.partition('=')[0]}" if query else ""


def only_looks(name: str) -> bool:
    """Whether a call changes nothing, so that dying after it is the same as dying before the next."""
    verb = name.split()[0]
    if verb == "aws":
        return name.split()[1].startswith(("Get", "List", "Simulate", "GET", "HEAD", "CloudTrail"))
    return verb in READS or verb == "postgres" or any(look in name for look in LOOKS)


def _around(moment: Moment, name: str, call: Callable[[], Any]) -> Any:
    moment(f"before {name}")
    answer = call()
    if not only_looks(name):
        moment(f"after {name}")
    return answer


def _watch_requests(moment: Moment) -> None:
    send = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        return _around(moment, salesforce_or_vault(request), lambda: send(self, request, *args, **kwargs))

    requests.adapters.HTTPAdapter.send = watched  # type: ignore[method-assign]


def _watch_botocore(moment: Moment) -> None:
    send = botocore.httpsession.URLLib3Session.send

    def watched(self: Any, request: Any) -> Any:
        return _around(moment, aws_call(request), lambda: send(self, request))

    botocore.httpsession.URLLib3Session.send = watched


def _watch_psycopg(moment: Moment) -> None:
    connect = psycopg.connect

    def watched(*args: Any, **kwargs: Any) -> Any:
        return _around(moment, "postgres login", lambda: connect(*args, **kwargs))

    psycopg.connect = watched


def _watch_ledger(moment: Moment) -> None:
    """Three moments a write: before it, in the middle of its bytes, and when it is on the disk."""
    write = ledger.FileLedger._write
    write_all = ledger._write_all

    def watched(self: Any, descriptor: int, batches: Any) -> None:
        kinds = [draft.kind for batch in batches for draft in batch.drafts]
        name = f"ledger {kinds[0]}" if kinds else ""
        if name:
            moment(f"before {name}")
        write(self, descriptor, batches)
        if name:
            moment(f"after {name}")

    def torn(descriptor: int, data: bytes) -> None:
        half = len(data) // 2
        write_all(descriptor, data[:half])
        moment("in the middle of a ledger line")
        write_all(descriptor, data[half:])

    setattr(ledger.FileLedger, "_write", watched)  # noqa: B010 - typed, and not meant to be replaced
    setattr(ledger, "_write_all", torn)  # noqa: B010
