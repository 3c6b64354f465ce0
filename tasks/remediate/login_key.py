"""Replace the private key with which an app logs in to Salesforce by JWT: a person's step, then a proof.

No API gives a connected app another certificate, so a person uploads it and writes the new key where
consumers read it. The key that stands there when this first runs counts as leaked and is known by its public
half's fingerprint. Once another one stands there it is used for a login, and the former key, while a version
still holds it, is tried too.
Source: Salesforce Help, "Create a Private Key and Self-Signed Digital Certificate"; the Metadata API lists a
certificate's attributes and no key.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import serialization

from blocks.errors import LeakResponseError
from blocks.salesforce.login import jwt_form
from tasks.incident import Phase
from tasks.remediate.job import Credential, Job, Outcome
from tasks.remediate.places import Held, Place

KIND = "connected-app"
LEAKED = "leaked login key"
DUE = timedelta(hours=4)
PAGE = "/lightning/setup/NavigationMenus/home"  # Setup, App Manager
_PEM = "PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class LoginKey:
    """The fields of a place that hold an app's login: its key, and the names it goes with."""

    place: Place
    held: Held
    key_field: str
    consumer_field: str
    username_field: str

    @property
    def fingerprint(self) -> str:
        """Names the key without giving it away: a hash of its public half."""
        return fingerprint(str(self.held.fields[self.key_field]))


def fingerprint(pem: str) -> str:
    """A short hash of a private key's public half; of the text where that is no key."""
    try:
        public = serialization.load_pem_private_key(pem.encode(), None).public_key()
        made = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError):
        made = pem.encode()
    return f"key-{hashlib.sha256(made).hexdigest()[:16]}"


def login_keys(job: Job) -> list[LoginKey]:
    """The login keys that the integration's places hold."""
    found = [_key_in(place, held) for place, held in job.held()]
    return [one for one in found if one is not None]


def _key_in(place: Place, held: Held) -> LoginKey | None:
    texts = {name: value for name, value in held.fields.items() if isinstance(value, str)}
    key = next((name for name, value in texts.items() if _PEM in value), "")
    if not key:
        return None
    consumer = next((n for n in texts if "consumer_key" in n.casefold() or "client_id" in n.casefold()), "")
    username = next((n for n in texts if "user" in n.casefold()), "")
    return LoginKey(place, held, key, consumer, username)


def replace_login_key(job: Job, app: str, keys: list[LoginKey]) -> Credential:
    """The step for a person, or what they did, proven. Run it again, it does nothing twice.

    Raises LeakResponseError when a place or the org does not answer; run it again then.
    """
    leaked = _leaked(job, app, keys)
    waiting = [one for one in keys if one.fingerprint in leaked]
    if waiting:
        return Credential(KIND, app, Outcome.PERSON, _instructions(job, app, waiting))
    new = keys[0]
    answers = [_logs_in(job, one, one.held) for one in keys]
    if not all(answers):
        text = (
            f"A new key of {app} stands in {new.place.name} and does not log in yet: upload its certificate, "
            f"authorise {app} again for its user, undo the user's freeze, then run remediate again."
        )
        return Credential(KIND, app, Outcome.PERSON, text, ref=new.fingerprint)
    tried = [
        _logs_in(job, one, held) for one in keys for held in one.place.earlier() if _is(held, one, leaked)
    ]
    if any(tried):
        text = f"The leaked key of {app} still logs in: take its certificate off the app in {_link(job)}."
        return Credential(KIND, app, Outcome.PERSON, text, ref=new.fingerprint, new_works=True)
    for one in keys:
        job.retire_of(one.place, partial(_is, one=one, leaked=leaked))
    return Credential(
        KIND,
        app,
        Outcome.KEPT,
        f"{new.fingerprint} was read back from {len(keys)} places and logs in; the leaked key was tried in "
        f"{len(tried)} former versions and refused.",
        ref=new.fingerprint,
        places=tuple(one.place.name for one in keys),
        new_works=True,
        old_refused=bool(tried),
    )


def _leaked(job: Job, app: str, keys: list[LoginKey]) -> frozenset[str]:
    """Fingerprints of the keys that stood there at the first run: what leaked, written down once."""
    known = frozenset(
        str(entry["details"].get("ref"))
        for entry in job.ledger.entries()
        if entry["action"] == LEAKED and entry["details"].get("principal") == app
    )
    if known:
        return known
    for ref in sorted({one.fingerprint for one in keys}):
        job.ledger.note(Phase.REMEDIATE, LEAKED, f"salesforce/login-key/{app}", principal=app, ref=ref)
    return frozenset(one.fingerprint for one in keys)


def _is(held: Held, one: LoginKey, leaked: frozenset[str]) -> bool:
    """Whether a version holds a leaked key."""
    value = held.fields.get(one.key_field)
    return isinstance(value, str) and fingerprint(value) in leaked


def _logs_in(job: Job, one: LoginKey, held: Held) -> bool:
    """One login with this version's key. The token it may give is ended at once."""
    org, fields = job.systems.salesforce, held.fields
    form = jwt_form(
        str(fields.get(one.consumer_field)),
        str(fields.get(one.username_field)),
        org.audience,
        str(fields[one.key_field]),
        time.time(),
    )
    answer = org.try_login(form)
    if answer.status_code != 200:
        return False
    body: Mapping[str, Any] = answer.json()
    with suppress(LeakResponseError):  # it ends with its session; that the key works is known
        org.revoke(str(body["access_token"]))
    return True


def _instructions(job: Job, app: str, waiting: list[LoginKey]) -> str:
    where = ", ".join(dict.fromkeys(one.place.name for one in waiting))
    due = job.incident.declared_at + DUE
    return (
        f"By {due:%d %b %H:%M} UTC: make a new key pair, open {_link(job)}, edit {app}, upload the new "
        f"certificate under Use digital signatures, and write the new private key to {where}, field "
        f"{waiting[0].key_field}. Vet {app}, authorise it again with the least scopes, and run remediate "
        "again: it logs in with the new key and tries the old one."
    )


def _link(job: Job) -> str:
    return f"{job.systems.salesforce.base_url}{PAGE}"
