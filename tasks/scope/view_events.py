"""Lines of several logs that are about one showing of a report or list view: which belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from tasks.scope.attribution import Attribution
from tasks.scope.logs import column, instants
from tasks.scope.matching import NEAR


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of a log that names a report or list view."""

    id: str  # 15 characters
    at: pd.Timestamp
    request: str = ""
    session: str = ""
    user: str = ""
    app: str = ""
    certain: bool = False  # the line is the suspects' beyond doubt

    @property
    def credential(self) -> str:
        """Who, as a reference: app and user ids."""
        return "/".join(part for part in (self.app, self.user) if part) or f"session:{self.session[:6]}"


def seen(rows: pd.DataFrame, ids: pd.Series[str]) -> Iterator[Seen]:
    """The lines of an attributed log, each with the id of what it is about."""
    names = ["at", "request_id", "session", "user", "app", "certain"]
    for one, row in zip(ids.fillna(""), rows[names].itertuples(index=False), strict=True):
        at, request, session, user, app, certain = row
        yield Seen(one.strip()[:15], at, str(request), str(session), str(user), str(app), bool(certain))


def near(one: Seen, other: Seen) -> bool:
    """The same session within the time that two logs of one event may differ."""
    return bool(one.session and one.session == other.session and abs(one.at - other.at) <= NEAR)


def lonely_ids(
    attribution: Attribution, texts: Sequence[str], prefix: str, known: Sequence[Seen]
) -> Iterator[Seen]:
    """Ids of the query log that no other log's line explains: the suspects', and those perhaps theirs."""
    rows = attribution.of_type("UniqueQuery")
    wanted = {text[:15] for text in texts if text.startswith(prefix)}
    if not rows.empty:
        ids = column(rows, "QUERY_IDENTIFIER").str.strip().str.slice(0, 15)
        mine = ids.str.startswith(prefix) & ~ids.str.contains(" ", regex=False)
        for one in seen(rows[mine], ids[mine]):
            wanted.discard(one.id)
            if not any(near(one, other) and one.id == other.id for other in known):
                yield one
    yield from _unclaimed(attribution, wanted - {other.id for other in known})


def _unclaimed(attribution: Attribution, wanted: set[str]) -> Iterator[Seen]:
    """Those that only sessions nobody claims have read, at the time of calls that name no session."""
    log = attribution.log.get("UniqueQuery")
    if log is None or log.empty or not wanted:
        return
    ids = column(log, "QUERY_IDENTIFIER").str.strip().str.slice(0, 15)
    rows = log[ids.isin(wanted)]
    for one, at in zip(ids[ids.isin(wanted)], instants(rows), strict=True):
        if not pd.isna(at):
            yield Seen(one, at)


def number(text: str) -> int | None:
    """A count as logs write it; None where there is none."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None
