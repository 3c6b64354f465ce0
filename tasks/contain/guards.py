"""What containment must not close: the responder itself, the break-glass admin, the plan's protected
principals; and how much it may close in one system before a person has to agree.
"""

from __future__ import annotations

import threading

from tasks.contain.world import World
from tasks.incident import Access, System

HOW = "Look at the change set (mode=plan) and run again with its hash as the approval."


class Guards:
    """Asked before every close. Thread-safe."""

    def __init__(self, world: World, *, approved: bool = False) -> None:
        self._world = world
        self._approved = approved
        self._lock = threading.Lock()
        self._admitted: dict[System, dict[str, int]] = {}

    def refusal(self, access: Access, who: frozenset[str]) -> str | None:
        """Why this access must stay open, or None. Raises Unreachable when own identity cannot be asked."""
        protected = {**self._planned(), **self._own(access.system)}
        for name in sorted(who):
            if reason := protected.get(name.casefold()):
                return f"{reason}. Closing it is refused; do it by hand if it really is compromised."
        return None

    def must_ask(self, access: Access, size: int) -> str | None:
        """Why a person must agree first, or None. `size` is how much closing it ends (`AccessKind.size`);
        an access that was let through once is not asked about again."""
        plan = self._world.plan
        with self._lock:
            admitted = self._admitted.setdefault(access.system, {})
            known = access.key in admitted or access.key in self._world.history
            if not known and not self._approved:
                if access.kind in plan.policies.approval.required_for:
                    return f"The plan wants an approval before any {access.kind} is closed. {HOW}"
                limit = plan.systems[access.system].max_closes
                if sum(admitted.values()) + size > limit:
                    return f"With it, {access.system} would pass the plan's limit of {limit} closes. {HOW}"
            admitted[access.key] = size
        return None

    def _own(self, system: System) -> dict[str, str]:
        return self._world.once(("own", system), lambda: _own_names(self._world, system))

    def _planned(self) -> dict[str, str]:
        policies = self._world.plan.policies
        names = {p.identifier.casefold(): "The plan protects it" for p in policies.protected}
        if policies.break_glass_admin:
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
        case System.AWS:
            names = dict.fromkeys(world.aws.own_names(), "It is the responder's own AWS identity")
        case System.VAULT:
            names = dict.fromkeys(world.vault.own_names(), "It is the responder's own Vault identity")
    return {name.casefold(): reason for name, reason in names.items()}
