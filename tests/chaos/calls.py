"""The kinds of call that one containment run makes, and how each can be made to fail at its server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.chaos.world import ChaosWorld

TIMEOUT_S = 1.0  # of every client in these runs
LATE_S = 0.6  # by which an answer comes after that

Rules = dict[str, dict[str, Any]]

# By our word for the fault: what the system's stand-in calls it.
SALESFORCE: Rules = {
    "timeout": {"kind": "slow"},
    "reset after acting": {"kind": "reset-after"},
    "429": {"kind": "429", "retry_after": 1},
    "500": {"kind": "500"},
    "503": {"kind": "503"},
    "malformed": {"kind": "malformed"},
    "expired session": {"kind": "expired-session"},
    "REQUEST_LIMIT_EXCEEDED": {"kind": "request-limit"},
    "UNABLE_TO_LOCK_ROW": {"kind": "lock-row"},
}
PARTIAL: Rules = {"partial success": {"kind": "partial"}}
OTHERS: Rules = {
    "timeout": {"kind": "timeout"},
    "reset after acting": {"kind": "reset-after"},
    "500": {"kind": "failed"},
    "malformed": {"kind": "malformed"},
}
AWS: Rules = {**OTHERS, "throttling": {"kind": "throttled"}, "503": {"kind": "unavailable"}}
VAULT: Rules = {**OTHERS, "429": {"kind": "throttled"}, "sealed": {"kind": "unavailable"}}
SLACK: Rules = {**OTHERS, "429": {"kind": "throttled"}, "down": {"kind": "unavailable"}}


@dataclass(frozen=True, slots=True, order=True)
class CallKind:
    """Calls that do the same to different things."""

    system: str
    name: str

    @property
    def faults(self) -> Rules:
        if self.system == "salesforce":
            return SALESFORCE | (PARTIAL if "composite/sobjects" in self.name else {})
        return {"aws": AWS, "vault": VAULT, "postgres": OTHERS, "slack": SLACK}[self.system]

    @property
    def changes(self) -> bool:
        """Whether it changes something: other accesses then have no use for its answer."""
        if self.system == "aws":
            return self.name.split(":")[1].startswith(("Update", "Put", "Delete", "Create"))
        return self.name.startswith(("PATCH", "DELETE")) or "revoke" in self.name

    def break_it(self, world: ChaosWorld, fault: str, *, lasting: bool, late_s: float) -> None:
        """Make the fault, once or for good. `mend` ends it. What times out takes `late_s` seconds."""
        rule = dict(self.faults[fault])
        if fault == "timeout":
            rule["seconds" if self.system == "salesforce" else "delay_s"] = late_s
        times = {} if lasting else {"times": 1}
        match self.system:
            case "salesforce":
                once = {} if lasting else {"count": 1}
                rules = [{**rule, **once, "match": self._salesforce_match()}]
                world.twin.control("faults", {"rules": rules})
            case "aws":
                service, operation = self.name.split(":")
                found = {"service": service, "operation": operation}
                world.aws.control("faults", {**rule, **times, "match": found})
            case "vault":
                method, route = self.name.split()
                found = {"method": method, "route": route}
                world.vault_proxy.control("faults", {**rule, **times, "match": found})
            case "postgres":
                world.postgres_proxy.control("faults", {**rule, **times})
            case "slack":
                world.slack.control("faults", {**rule, **times})

    def _salesforce_match(self) -> dict[str, str]:
        method, path, *source = self.name.split()
        pattern = re.escape(path.removeprefix("sf")).replace(r"\*", "[^/]+") + "$"
        return {"method": method, "path": pattern, **({"query": rf"FROM {source[0]}\b"} if source else {})}

    def hits(self, world: ChaosWorld) -> int:
        """How often the fault met a call."""
        match self.system:
            case "salesforce":
                return int(sum(rule["hits"] for rule in world.twin.control("faults", method="GET")))
            case "aws":
                return int(world.aws.control("faults", method="GET")["hits"])
            case "vault":
                return int(world.vault_proxy.control("faults", method="GET")["hits"])
            case "postgres":
                return int(world.postgres_proxy.control("faults", method="GET")["hits"])
        return int(world.slack.control("faults", method="GET")["hits"])


def mend(world: ChaosWorld) -> None:
    """No faults any more, anywhere."""
    world.twin.control("faults", {"rules": []})
    for server in (world.aws, world.vault_proxy, world.postgres_proxy, world.slack):
        server.control("faults", method="DELETE")


def kinds_of_calls(moments: Iterable[str], world: ChaosWorld) -> list[CallKind]:
    """From the moments of a run that has just ended; AWS's own log says what was called there."""
    found = {CallKind("slack", "messages beside the run")}
    for moment in moments:
        name = moment.removeprefix("before ").rpartition(" #")[0]
        if name == "postgres login":
            found.add(CallKind("postgres", name))
        elif moment.startswith("before ") and name.partition(" ")[2].startswith("sf/"):
            found.add(CallKind("salesforce", name))
        elif moment.startswith("before ") and name.partition(" ")[2].startswith("/v1/"):
            found.add(CallKind("vault", name))
    ours = {f"aws:{world.in_aws.responder.access_key_id}", f"aws:{world.in_aws.stolen.access_key_id}"}
    found |= {
        CallKind("aws", f"{one['service']}:{one['operation']}")
        for one in world.aws.control("requests", method="GET")
        if one["credential"] in ours and one["operation"]
    }
    return sorted(found)
