"""What containment must not close: the responder itself, the break-glass admin, the plan's protected
principals; and how much it may close in one system before a person has to agree.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from blocks.plan import system_of
from tasks.contain.history import size_of
from tasks.contain.salesforce.org import key_hash
from tasks.contain.world import World
from tasks.incident import Access, System

HOW = "Look at the change set (mode=plan) and run again with its hash as the approval."


class Guards:
    """Asked before every close. Thread-safe."""

    def __init__(self, world: World, *, agreed: Collection[str] = ()) -> None:
        self._world = world
        self._agreed = frozenset(agreed)  # keys of accesses that a person agreed to close
        self._lock = threading.Lock()
        self._admitted: dict[System, dict[str, int]] = {}

    def refusal(self, access: Access, who: frozenset[str]) -> str | None:
        """Why this access must stay open, or None. Raises Unreachable when own identity cannot be asked."""
        protected = {**self._planned(access.system), **self._own(access.system)}
        for name in sorted(who):
            if reason := protected.get(name.casefold()):
                return f"{reason}. Closing it is refused; do it by hand if it really is compromised."
        return None

    def must_ask(self, access: Access) -> str | None:
        """Why a person must agree first, or None. An access that was let through once, also in an earlier
        run, counts against the limit and is not asked about again."""
        plan, size = self._world.plan, size_of(access)
        with self._lock:
            admitted = self._admitted.setdefault(access.system, self._earlier(access.system))
            if access.key not in admitted and access.key not in self._agreed:
                if access.kind in plan.policies.approval.required_for:
                    return f"The plan wants an approval before any {access.kind} is closed. {HOW}"
                limit = plan.systems[access.system].max_closes
                if sum(admitted.values()) + size > limit:
                    return f"With it, {access.system} would pass the plan's limit of {limit} closes. {HOW}"
            admitted.setdefault(access.key, size)
        return None

    def _earlier(self, system: System) -> dict[str, int]:
        past = self._world.history.values()
        return {p.access.key: size_of(p.access) for p in past if p.access.system is system}

    def _own(self, system: System) -> dict[str, str]:
        return self._world.once(("own", system), lambda: _own_names(self._world, system))

    def _planned(self, system: System) -> dict[str, str]:
        policies = self._world.plan.policies
        names = {
            p.identifier.casefold(): "The plan protects it"
            for p in policies.protected
            if system_of(p.kind) == system
        }
        if policies.break_glass_admin and system is System.SALESFORCE:
            names[policies.break_glass_admin.casefold()] = "It is the break-glass admin"
        return names


def _own_names(world: World, system: System) -> dict[str, str]:
    """Every name of the responder in one system, folded, with the reason to show."""
    match system:
        case System.SALESFORCE:
            me = world.salesforce.me
            names = {
                me.user_id: "It is the responder's own user",
                me.username: "It is the responder's own user",
            }
            names |= dict.fromkeys(me.apps, "It is the responder's own app")
            names[f"consumer:{key_hash(world.salesforce.own_key)}"] = "It is the responder's own app"
        case System.AWS:
            names = dict.fromkeys(world.aws.own_names(), "It is the responder's own AWS identity")
        case System.VAULT:
            names = dict.fromkeys(world.vault.own_names(), "It is the responder's own Vault identity")
    return {name.casefold(): reason for name, reason in names.items()}
