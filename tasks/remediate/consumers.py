"""Ask an integration's consumers, in their order, whether they work with the new secret.

A consumer's `check` in the plan is `GET URL`: anything but a 2xx answer means that it does not work. What has
no such check, or cannot be reached from here, is unknown: never taken for working, and a person's to confirm.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import requests

from blocks.base import user_agent
from blocks.plan import Consumer

PATIENCE_S = 10.0  # a consumer that re-reads its secret by itself gets this long
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class ConsumerCheck:
    """What one consumer answered. `ok` None: it could not be asked."""

    name: str
    owner: str
    ok: bool | None
    detail: str


def ask(consumers: tuple[Consumer, ...], *, patience_s: float = PATIENCE_S) -> tuple[ConsumerCheck, ...]:
    """Ask each once in order, again while it answers that it does not work, up to `patience_s` seconds."""
    return tuple(_ask(consumer, patience_s) for consumer in consumers)


def _ask(consumer: Consumer, patience_s: float) -> ConsumerCheck:
    method, _, url = (consumer.check or "").partition(" ")
    if method.upper() != "GET" or not url.startswith(("http://", "https://")):
        return ConsumerCheck(consumer.name, consumer.owner, None, "It has no check that can be made here.")
    deadline = time.monotonic() + patience_s
    with requests.Session() as session:
        session.trust_env = False
        session.headers["User-Agent"] = user_agent()
        while True:
            try:
                status = session.get(url, timeout=TIMEOUT_S, allow_redirects=False).status_code
            except requests.RequestException as error:
                why = f"It cannot be reached from here: {type(error).__name__}."
                return ConsumerCheck(consumer.name, consumer.owner, None, why)
            if 200 <= status < 300:
                return ConsumerCheck(consumer.name, consumer.owner, True, f"Its check answers {status}.")
            if time.monotonic() >= deadline:
                why = f"Its check still answers {status}: restart it, so that it reads the new secret."
                return ConsumerCheck(consumer.name, consumer.owner, False, why)
            time.sleep(0.5)
