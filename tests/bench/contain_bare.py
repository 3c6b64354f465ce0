"""The floor: what somebody would write by hand in an hour, with as many threads as help.

Freezes users, revokes their grants, ends their sessions, takes away their permission sets, and asks once
whether all of it is so. No ledger, no undo, no guard, no retry, no second look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from blocks.salesforce.org import SalesforceOrg

LISTING = 8
CHUNK = 200  # values in one IN, and records in one collection


def cut_all(org: SalesforceOrg, usernames: list[str], threads: int) -> None:
    """Raises RuntimeError when something is left."""
    ids = [
        row["Id"]
        for some in chunks(usernames)
        for row in org.query(f"SELECT Id FROM User WHERE Username IN {listed(some)}")
    ]
    with ThreadPoolExecutor(threads) as pool:
        for future in [*cut_rights(org, pool, ids), *cut_tokens(org, pool, ids)]:
            future.result()
        list(pool.map(lambda user: end_sessions(org, user), ids))
        left = sum(
            pool.map(lambda user: org.count(f"SELECT COUNT() FROM OauthToken WHERE UserId = '{user}'"), ids)
        )
    if left:
        raise RuntimeError(f"{left} grants are left")


def cut_rights(org: SalesforceOrg, pool: ThreadPoolExecutor, ids: list[str]) -> Iterator[Future[Any]]:
    """Logins, permission sets and sessions: the little that takes most away comes first."""
    for some in chunks(ids):
        for row in org.query(f"SELECT Id FROM UserLogin WHERE UserId IN {listed(some)}"):
            yield pool.submit(org.rest, "PATCH", f"sobjects/UserLogin/{row['Id']}", json={"IsFrozen": True})
        given = f"AssigneeId IN {listed(some)} AND PermissionSet.IsOwnedByProfile = false"
        for row in org.query(f"SELECT Id FROM PermissionSetAssignment WHERE {given}"):
            yield pool.submit(org.rest, "DELETE", f"sobjects/PermissionSetAssignment/{row['Id']}")
        for user in some:
            yield pool.submit(end_sessions, org, user)


def cut_tokens(org: SalesforceOrg, pool: ThreadPoolExecutor, ids: list[str]) -> Iterator[Future[Any]]:
    """Grants, listed for several users at a time."""

    def tokens(user: str) -> list[str]:
        found = org.query(f"SELECT DeleteToken FROM OauthToken WHERE UserId = '{user}'")
        return [row["DeleteToken"] for row in found]

    with ThreadPoolExecutor(LISTING) as listing:
        for some in listing.map(tokens, ids):
            for token in some:
                yield pool.submit(org.revoke, token)


def end_sessions(org: SalesforceOrg, user: str) -> None:
    found = [row["Id"] for row in org.query(f"SELECT Id FROM AuthSession WHERE UsersId = '{user}'")]
    for some in chunks(found):
        org.rest("DELETE", "composite/sobjects", params={"ids": ",".join(some), "allOrNone": "false"})


def chunks(values: list[str]) -> Iterable[list[str]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def listed(values: list[str]) -> str:
    return "('" + "', '".join(values) + "')"
