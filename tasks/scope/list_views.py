"""Which list views the suspects read, and so which rows they saw.

A list view describes itself as SOQL, which is run again. One call shows a page of at most 2,000 rows from an
offset that no log tells: how many rows is known, which ones only where the page holds all of them.
Source: REST API Developer Guide, "List View Describe" and "List View Results".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tasks.incident import Coverage
from tasks.scope.attribution import Attribution
from tasks.scope.logs import column
from tasks.scope.matching import ALONE, Ask, Matched
from tasks.scope.queries import Asked, digest, understand, whole_object
from tasks.scope.reader import Reader
from tasks.scope.shape import OrgShape
from tasks.scope.view_definitions import Definition, list_views
from tasks.scope.view_events import Seen, lonely_ids, number, seen

_RESULTS = re.compile(r"/sobjects/(?P<object>\w+)/listviews/(?P<id>00B\w{12,15})/results/?(?:\?.*)?$")
_CALL = re.compile(r"^sobjects/\w+/listviews(?:/|$)", re.IGNORECASE)


@dataclass(slots=True)
class ViewRead:
    """One page of a list view. `rows` is how many it had."""

    seen: Seen
    source: str
    object: str = ""
    rows: int | None = None
    certain: bool = False
    doubt: str = ""


def add_list_views(attribution: Attribution, calls: Matched, reader: Reader) -> tuple[Coverage, ...]:
    """Put the list views that the suspects read among `calls` as queries to run again."""
    reads = list(view_reads(attribution, calls.reports))
    _forget(calls)
    if not reads:
        return ()
    objects = {read.seen.id: read.object for read in reads if read.object}
    told = list_views(reader, {read.seen.id for read in reads}, objects)
    widened = set()
    for read in reads:
        asked = _asked(read, told[read.seen.id], reader.shape)
        calls.queries[asked.digest] = asked
        calls.asks.append(_ask(read, asked))
        if asked.widened:
            widened.add(read.seen.id)
    calls.asks.sort(key=lambda ask: ask.at)
    return (_coverage(reads, len(widened)),)


def view_reads(attribution: Attribution, texts: Sequence[str]) -> Iterator[ViewRead]:
    """Each page that was read, once. `texts`: list view ids that the query log holds, claimed or not."""
    reads = [*_requests(attribution), *_usage(attribution)]
    for one in lonely_ids(attribution, texts, "00B", [read.seen for read in reads]):
        doubt = "only the query log names this list view: how much of it was read, and by whom, is not known"
        reads.append(ViewRead(one, ALONE, doubt=doubt))
    return iter(sorted(reads, key=lambda read: read.seen.at))


def _requests(attribution: Attribution) -> Iterator[ViewRead]:
    rows = attribution.of_type("RestApi")
    if rows.empty:
        return
    parts = column(rows, "URI").str.extract(_RESULTS)
    rows, parts = rows[parts["id"].notna()], parts[parts["id"].notna()]
    counts, states = column(rows, "ROWS_PROCESSED"), column(rows, "STATUS_CODE")
    for one, name, count, status in zip(
        seen(rows, parts["id"]), parts["object"], counts, states, strict=True
    ):
        if (number(status) or 200) < 400:
            yield ViewRead(one, "list view", name, number(count), one.certain)


def _usage(attribution: Attribution) -> Iterator[ViewRead]:
    """Calls that only the usage log holds, which names no session."""
    rows = attribution.of_type("ApiTotalUsage")
    if rows.empty:
        return
    log = attribution.log.get("RestApi")
    known = frozenset() if log is None else frozenset(column(log, "REQUEST_ID"))
    parts = column(rows, "API_RESOURCE").str.extract(_RESULTS)
    rows, parts = rows[parts["id"].notna()], parts[parts["id"].notna()]
    for one, name, status in zip(
        seen(rows, parts["id"]), parts["object"], column(rows, "STATUS_CODE"), strict=True
    ):
        if one.request not in known and (number(status) or 200) < 400:
            doubt = "only the usage log names this list view: its rows are not known"
            yield ViewRead(one, "list view", name, doubt=doubt)


def _asked(read: ViewRead, told: Definition, shape: OrgShape) -> Asked:
    """The query that a list view is now; all of its object where it may have been another one then."""
    name, text = read.object or told.object, str(told.described.get("query") or "")
    why = told.why
    if text and told.changed is not None and told.changed > read.seen.at:
        why = "it was changed after it was read"
    if why or not text:
        reason = f"list view {read.seen.id}: {why or 'it does not tell its query'}"
        return whole_object(name, reason, shape, digest(f"{reason} {name}"))
    asked = understand(text, shape)
    return replace(asked, digest=digest(f"list view {read.seen.id} {text}"))


def _ask(read: ViewRead, asked: Asked) -> Ask:
    return Ask(
        asked,
        read.seen.at.to_pydatetime(),
        read.seen.credential,
        read.certain,
        rows=read.rows,
        source=read.source,
        session=read.seen.session,
        user=read.seen.user,
        doubt=read.doubt,
    )


def _forget(calls: Matched) -> None:
    """Calls and texts that are told as list views now, or that show no record."""
    calls.reports[:] = [one for one in calls.reports if not one.startswith("00B")]
    named = [call for call in calls.records if call.record.casefold().startswith("listviews=")]
    calls.records[:] = [call for call in calls.records if call not in named]
    listed = [call for call in calls.unresolved if _CALL.match(call.path)]
    calls.unresolved[:] = [call for call in calls.unresolved if not _CALL.match(call.path)]
    calls.recon += len(named) + sum(not call.path.endswith("results") for call in listed)


def _coverage(reads: Sequence[ViewRead], widened: int) -> Coverage:
    views = len({read.seen.id for read in reads})
    text = f"{len(reads)} pages of {views} list views were read; their queries were run again"
    text += f". Of {widened} list views more is assumed than was read." if widened else "."
    first, last = reads[0].seen.at.to_pydatetime(), reads[-1].seen.at.to_pydatetime()
    return Coverage("list views", True, first, last, len(reads), text)
