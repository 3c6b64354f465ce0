"""Which role of the plan answers for a duty, who comes after it, and which role a person has."""

from __future__ import annotations

from blocks.errors import BadInput
from blocks.plan import Plan, Role
from tasks.notify.rules import all_rules
from tasks.notify.vendors import answer_rule, vendor_of

COMMANDER = "incident_commander"
# Who approves a notice, by the kind of its recipient; the rest is the privacy officer's.
APPROVERS = {
    "law_enforcement": "legal",
    "csirt": "legal",
    "market_regulator": "legal",
    "market_public": "legal",
    "card_brand": "legal",
    "acquirer": "legal",
    "insurer": "legal",
    "cra": "legal",
    "public_media": "comms",
}


def approver_of(rule: str, plan: Plan) -> str:
    """The role that must approve the notice of a rule and is reminded of it."""
    vendor = vendor_of(rule, plan)
    if vendor is not None and rule == answer_rule(vendor):
        owners = [one.owner for one in plan.integrations if one.vendor == vendor.name]
        return owners[0] if owners else "legal"
    known = all_rules().get(rule)
    if vendor is not None or known is None:
        return "legal"
    return APPROVERS.get(known.recipient.type, "privacy")


def after(role: str, plan: Plan) -> tuple[str, ...]:
    """Whom to tell next when a role does not react: its deputies, then the commander and theirs."""
    order: list[str] = []
    for first in (role, COMMANDER):
        one: str | None = first
        while one is not None and one not in order:
            order.append(one)
            one = plan.roles[one].deputy if one in plan.roles else None
    return tuple(name for name in order if name != role)


def may_act_for(person: str, role: str, plan: Plan) -> bool:
    """Whether the person in one role may decide for another: themselves, or as its deputy in the plan."""
    one: str | None = role
    seen: set[str] = set()
    while one is not None and one not in seen:
        if one == person:
            return True
        seen.add(one)
        one = plan.roles[one].deputy if one in plan.roles else None
    return False


def role_of(who: str, plan: Plan) -> Role:
    """The role of a person given as role, e-mail address or Slack handle; BadInput when the plan has none."""
    wanted = who.strip().casefold()
    for role in plan.roles.values():
        if wanted and wanted in (role.key, role.email.casefold(), (role.slack or "").lstrip("@").casefold()):
            return role
    raise BadInput(
        f"{who!r} has no role in the plan.", f"Say one of: {', '.join(plan.roles)}, or the e-mail of one."
    )
