"""Vendors of the plan: the notice they must get, the notice they owe us, and the questions to ask them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from blocks.plan import Plan, Vendor
from tasks.incident import Duty, DutyStatus, Incident, System
from tasks.notify.facts import UNKNOWN, Facts

VENDOR = "vendor."
RULE = "VENDOR-"

QUESTIONS = (
    "When did you first notice anything unusual about this integration, and when did you become certain?",
    "Which of your systems hold or held our credentials (tokens, keys, secrets), and were they accessed?",
    "Which credentials of ours have you revoked or rotated, and at what time (UTC) each?",
    "From which addresses and with which user agents did your own service reach us in the window below?",
    "Which of our data do you store outside our systems, since when, and was it accessed or copied?",
    "Which of your sub-processors were involved, and where do they process our data?",
    "Were other customers affected, and has any authority or law enforcement been told?",
    "Please keep all logs of the window below, unchanged, until we release them in writing.",
    "Who is your contact for this incident around the clock, by name and telephone?",
)


@dataclass(frozen=True, slots=True)
class Touch:
    """Whether an incident touches a vendor: yes, no, or None until the named fact is answered."""

    vendor: Vendor
    touched: bool | None
    why: str
    missing: tuple[str, ...] = ()


def slug(vendor: Vendor | str) -> str:
    name = vendor if isinstance(vendor, str) else vendor.name
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "vendor"


def vendor_fact(vendor: Vendor) -> str:
    """The fact that says whether this vendor is concerned; people may answer it."""
    return f"{VENDOR}{slug(vendor)}.concerned"


def is_vendor_fact(fact: str) -> bool:
    return fact.startswith(VENDOR)


def vendor_facts(plan: Plan) -> dict[str, Vendor]:
    """Every fact about the plan's vendors."""
    return {vendor_fact(vendor): vendor for vendor in plan.vendors}


def notice_rule(vendor: Vendor) -> str:
    return f"{RULE}{slug(vendor).upper()}-NOTICE"


def answer_rule(vendor: Vendor) -> str:
    return f"{RULE}{slug(vendor).upper()}-ANSWER"


def vendor_of(rule: str, plan: Plan) -> Vendor | None:
    """The vendor that a vendor duty is about."""
    return next((one for one in plan.vendors if rule in (notice_rule(one), answer_rule(one))), None)


def touches(incident: Incident, plan: Plan, facts: Facts, answers: Mapping[str, bool | None]) -> list[Touch]:
    """For each vendor of the plan, whether the incident concerns it; what a person said counts first."""
    return [_touch(vendor, incident, plan, facts, answers) for vendor in plan.vendors]


def _touch(
    vendor: Vendor, incident: Incident, plan: Plan, facts: Facts, answers: Mapping[str, bool | None]
) -> Touch:
    said = answers.get(vendor_fact(vendor))
    if said is not None:
        return Touch(vendor, said, "answered: concerned" if said else "answered: not concerned")
    for suspect in incident.suspects:
        integration = plan.integration_of(suspect.kind, suspect.identifier)
        if integration is not None and integration.vendor == vendor.name:
            return Touch(vendor, True, f"integration {integration.name} is among the suspects")
    if vendor.kind == "insurer":
        return Touch(vendor, True, "the policy asks for notice of every incident")
    if vendor.kind == "acquirer":
        return _acquirer(vendor, facts)
    if vendor.kind == "customer":
        return Touch(
            vendor, None, "to be answered: is this customer's data among it?", (vendor_fact(vendor),)
        )
    return Touch(vendor, False, "no suspect belongs to an integration of this vendor")


def _acquirer(vendor: Vendor, facts: Facts) -> Touch:
    suspected = facts.get("incident.card_data_suspected")
    if suspected is UNKNOWN:
        fact = "incident.card_data_suspected"
        return Touch(vendor, None, f"to be answered: {fact}", (fact,))
    return Touch(vendor, bool(suspected), f"card data suspected: {'yes' if suspected else 'no'}")


def vendor_duties(
    incident: Incident, plan: Plan, facts: Facts, answers: Mapping[str, bool | None]
) -> list[Duty]:
    """The contracts' duties both ways. Notice to a vendor and its answer to us count from our awareness.

    A vendor that is touched and whose contract says nothing is still told and asked, with no fixed time.
    """
    found: list[Duty] = []
    for touch in touches(incident, plan, facts, answers):
        vendor = touch.vendor
        supplies = vendor.kind not in ("insurer", "customer", "acquirer")
        if vendor.to_vendor_hours is not None or touch.touched:
            found.append(_duty(notice_rule(vendor), touch, incident, vendor.to_vendor_hours, vendor.name))
        if supplies and (vendor.from_vendor_hours is not None or touch.touched):
            recipient = f"{plan.organisation.name} (answer owed by {vendor.name})"
            found.append(_duty(answer_rule(vendor), touch, incident, vendor.from_vendor_hours, recipient))
    return found


def _duty(rule: str, touch: Touch, incident: Incident, hours: float | None, recipient: str) -> Duty:
    status = {True: DutyStatus.DUE, False: DutyStatus.NOT_DUE, None: DutyStatus.UNDETERMINED}[touch.touched]
    owed = status is not DutyStatus.NOT_DUE
    due_at = incident.aware_at + timedelta(hours=hours) if owed and hours is not None else None
    return Duty(
        rule=rule,
        status=status,
        recipient=recipient,
        clock_start=incident.aware_at if owed else None,
        due_at=due_at,
        policy=False,
        citation=touch.vendor.clause or "the contract's notice clause is not in the plan",
        confidence="high" if hours is not None else "low",
        why=touch.why if hours is not None else f"{touch.why}; the plan names no notice period",
        missing=touch.missing,
    )


def systems_named(incident: Incident) -> tuple[str, ...]:
    """Which systems the suspects belong to, for a vendor to know where to look."""
    kinds = {str(suspect.kind).partition("-")[0] for suspect in incident.suspects}
    names = {"connected": System.SALESFORCE, "salesforce": System.SALESFORCE}
    return tuple(sorted({str(names.get(kind, kind)) for kind in kinds}))
