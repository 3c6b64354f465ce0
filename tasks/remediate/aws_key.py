"""Replace an IAM user's access key: issue, write where consumers read it, use it, try the old one.

A user has two slots for keys. The leaked key keeps its slot, switched off, because it is evidence and its way
back; the new one takes the other. When both are taken a person has to free one: nothing is deleted from here.
What stands in the places decides, not what an earlier run believes: a working new key there is kept, whoever
put it there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from blocks.aws import AwsAccount, AwsRefused, aws_errors
from blocks.errors import LeakResponseError
from tasks.incident import Phase
from tasks.remediate.job import ISSUE, Credential, Job, Outcome
from tasks.remediate.places import Held, Place

KIND = "aws-user"
SLOTS = 2  # access keys per user: IAM quota, "Access keys assigned to an IAM user"
PATIENCE_S = 20.0  # IAM is eventually consistent: a new key may take some seconds to be known everywhere
DEAD = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"})


@dataclass(frozen=True, slots=True)
class Pair:
    """The two fields of a place that hold a user's key."""

    place: Place
    held: Held
    id_field: str
    secret_field: str
    staged: bool = False  # written, but not yet what consumers read

    @property
    def key_id(self) -> str:
        return str(self.held.fields[self.id_field])

    @property
    def secret(self) -> str:
        return str(self.held.fields[self.secret_field])


def replace_key(job: Job, user: str, dead: frozenset[str]) -> Credential:
    """A working key of the user in every place that held a dead one. Run again, it does nothing twice.

    `dead` are the key ids that containment has closed. Raises LeakResponseError when a system refuses or does
    not answer; run it again then.
    """
    keys = keys_of(job.systems.aws, user)
    pairs = [pair for one in job.places for pair in _pairs(one, keys.keys() | dead)]
    if not pairs:
        where = ", ".join(p.name for p in job.places) or "no place that can be written from here"
        return _person(user, f"Issue a new access key for {user} by hand: {where} holds none of its keys.")
    still = sorted(key for key in dead if keys.get(key) == "Active")
    if still:
        return Credential(KIND, user, Outcome.WAITING, f"{', '.join(still)} is active: contain first.")
    good = next((p for p in pairs if _is_good(job, user, p, keys, dead)), None)
    if good is None:
        if len(keys) >= SLOTS:
            return _person(user, _slots(job, user, keys, dead))
        key_id, secret = _issue(job, user, keys)
    else:
        key_id, secret = good.key_id, good.secret
        was_ours = key_id in job.issued(user) or bool(job.cut_off(user))
        job.keep(f"aws/access-key/{user}", user, key_id)
    return _spread(job, user, key_id, secret, pairs, dead, kept=good is not None and not was_ours)


def _spread(
    job: Job, user: str, key_id: str, secret: str, pairs: list[Pair], dead: frozenset[str], *, kept: bool
) -> Credential:
    """Write the key wherever another one stands, use what reads back, then try the old ones."""

    def works(pair: Pair, fields: Mapping[str, Any]) -> bool:
        return authenticates(
            job.systems.aws, user, str(fields.get(pair.id_field)), str(fields.get(pair.secret_field))
        )

    for pair in (p for p in pairs if not p.staged):
        if pair.key_id != key_id or pair.secret != secret:
            changes = {pair.id_field: key_id, pair.secret_field: secret}
            job.write(pair.place, pair.held, changes, key_id, partial(works, pair))
    now = [p for one in {p.place.name: p.place for p in pairs}.values() for p in _pairs(one, {key_id})]
    good = bool(now) and all(works(pair, pair.held.fields) for pair in now)
    old = {p.key_id: p.secret for p in pairs if p.key_id in dead}
    refused = old_refused(job.systems.aws, user, dead, old)
    if good and refused:
        job.retire(dead)
    return Credential(
        KIND,
        user,
        (Outcome.KEPT if kept else Outcome.REPLACED) if good else Outcome.FAILED,
        f"{key_id} was read back from {len(now)} places and used; "
        f"{len(dead)} old keys are off, {len(old)} of them tried and refused.",
        ref=key_id,
        places=tuple(pair.place.name for pair in now),
        new_works=good,
        old_refused=refused,
    )


def _issue(job: Job, user: str, keys: Mapping[str, str]) -> tuple[str, str]:
    """A new key. The ledger knows its id at once, so that containment run again leaves it alone."""
    job.settle(user)
    attempt = job.ledger.attempt(
        Phase.REMEDIATE, ISSUE, f"aws/access-key/{user}", principal=user, refs=sorted(keys)
    )
    try:
        with aws_errors("iam:CreateAccessKey"):
            key = _once(job.systems.aws, "iam").create_access_key(UserName=user)["AccessKey"]
    except LeakResponseError as error:
        job.ledger.result(attempt, "failed", error=type(error).__name__)
        raise
    job.ledger.result(attempt, "ok", ref=key["AccessKeyId"])
    return str(key["AccessKeyId"]), str(key["SecretAccessKey"])


def _once(account: AwsAccount, service: str) -> Any:
    """A client that never repeats a call by itself: a repeated creation would fill the second slot."""
    own = account.get_client().get_credentials()
    return account.client_with(
        service, access_key_id=own.access_key, secret_access_key=own.secret_key, session_token=own.token
    )


def _slots(job: Job, user: str, keys: Mapping[str, str], dead: frozenset[str]) -> str:
    """What a person does when both slots are taken."""
    before = {ref for e in job.cut_off(user) for ref in e["details"].get("refs") or ()}
    lost = sorted(key for key in keys if (before and key not in before) or key in job.issued(user))
    listed = ", ".join(f"{key} ({'leaked, ' if key in dead else ''}{status})" for key, status in keys.items())
    if lost:
        return (
            f"{', '.join(lost)} was issued here and its secret was lost before it could be written. "
            f"Delete it (it was never used) and run remediate again. {user} has {listed}."
        )
    return (
        f"Both key slots of {user} are taken: {listed}. Delete one that nothing uses, after noting its id as "
        "evidence, then run remediate again."
    )


def _is_good(job: Job, user: str, pair: Pair, keys: Mapping[str, str], dead: frozenset[str]) -> bool:
    suspects = {suspect.identifier for suspect in job.incident.suspects}
    return (
        keys.get(pair.key_id) == "Active"
        and pair.key_id not in dead | suspects
        and authenticates(job.systems.aws, user, pair.key_id, pair.secret, patience_s=0)
    )


def _pairs(place: Place, keys: set[str]) -> list[Pair]:
    """Where a place holds one of these keys, and beside it the secret: `..._access_key_id` stands beside
    `..._secret_access_key`, in whatever spelling."""
    found = []
    for held, staged in ((place.read(), False), (place.pending(), True)):
        for name, value in held.fields.items() if held else ():
            secret_field = _beside(name, held.fields) if held else None
            if held and value in keys and secret_field:
                found.append(Pair(place, held, name, secret_field, staged))
    return found


def _beside(id_field: str, fields: Mapping[str, Any]) -> str | None:
    """The field that holds the secret of the key whose id stands in `id_field`."""
    for name in fields:
        plain = name.lower().replace("_", "").replace("-", "")
        wanted = id_field.lower().replace("_", "").replace("-", "")
        if plain == wanted.replace("accesskeyid", "secretaccesskey") != wanted:
            return name
    return None


def keys_of(account: AwsAccount, user: str) -> dict[str, str]:
    """Key id -> Active or Inactive."""
    with aws_errors("iam:ListAccessKeys"):
        pages = account.client("iam").get_paginator("list_access_keys").paginate(UserName=user)
        return {k["AccessKeyId"]: k["Status"] for page in pages for k in page["AccessKeyMetadata"]}


def authenticates(
    account: AwsAccount, user: str, key_id: str, secret: str, *, patience_s: float = PATIENCE_S
) -> bool:
    """Whether AWS takes the key for this user's, within `patience_s` seconds."""
    sts = account.client_with("sts", access_key_id=key_id, secret_access_key=secret)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with aws_errors("sts:GetCallerIdentity with the new key"):
                return str(sts.get_caller_identity()["Arn"]).rpartition("/")[2] == user
        except AwsRefused:
            if time.monotonic() >= deadline:
                return False
        time.sleep(1.0)


def old_refused(account: AwsAccount, user: str, dead: frozenset[str], secrets: Mapping[str, str]) -> bool:
    """Whether every dead key is off, and AWS refuses those whose secret is known."""
    keys = keys_of(account, user)
    if any(keys.get(key) == "Active" for key in dead):
        return False
    for key_id, secret in secrets.items():
        try:
            with aws_errors("sts:GetCallerIdentity with the old key"):
                account.client_with(
                    "sts", access_key_id=key_id, secret_access_key=secret
                ).get_caller_identity()
        except AwsRefused as error:
            if error.code in DEAD:
                continue
        return False
    return True


def _person(user: str, detail: str) -> Credential:
    return Credential(KIND, user, Outcome.PERSON, detail)
