"""Reading each part of the response plan, and checking that its parts refer to one another rightly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from blocks.plan_model import (
    DANGEROUS_PERMISSIONS,
    DEFAULT_MAX_CLOSES,
    DEFAULT_OWNER,
    FLAGS,
    LISTED,
    PRINCIPAL_KINDS,
    REQUIRED_ROLES,
    SECTORS,
    SYSTEMS,
    VENDOR_KINDS,
    Approval,
    Consumer,
    Integration,
    Organisation,
    Plan,
    Policies,
    Principal,
    Role,
    SystemEntry,
    Vendor,
    Watch,
)
from blocks.plan_reader import Problems, Section, close_to, read_yaml

EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s.]+"
SLACK = r"@?[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
COUNTRY = r"[A-Z]{2}"
REGION = r"[a-z]{2}(-[a-z]+)+-\d"
NOT_ISO = {"UK": "GB", "EL": "GR"}


def read_plan(text: str, file: str) -> tuple[Plan, Problems]:
    """The plan and the complaints about it; raises PlanError when the text is no YAML mapping at all."""
    top, problems = read_yaml(text, file)
    if top.must("version") not in {"1", ""}:
        top.complain("version", "is not a version this product reads.", "Write `version: 1`.")
    organisation = _organisation(top.sub("organisation"))
    roles = _roles(top.sub("roles"))
    systems = _systems(top.sub("systems"), roles)
    vendors = _vendors(top)
    integrations = _integrations(top, roles, {vendor.name for vendor in vendors})
    policies = _policies(top.sub("policies"))
    top.done()
    plan = Plan(organisation, roles, systems, integrations, vendors, policies, file, text)
    return plan, problems


def _organisation(at: Section) -> Organisation:
    organisation = Organisation(
        name=at.must("name"),
        role=at.choice("role", ("controller", "processor", "joint_controller")) or "controller",
        time_zone=_time_zone(at),
        sectors=at.texts("sectors", SECTORS),
        nis2=at.choice("nis2", ("none", "important", "essential"), "none") or "none",
        listed=at.texts("listed", LISTED),
        eu_main_establishment=_country(at, "eu_main_establishment"),
        art27_representative=_country(at, "art27_representative"),
        established_in=_countries(at, "established_in"),
        annual_turnover_aud=_amount(at, "annual_turnover_aud"),
        israel_db_level=at.choice("israel_db_level", ("basic", "medium", "high")),
        flags=frozenset([name for name in FLAGS if at.flag(name)]),
    )
    at.done()
    return organisation


def _time_zone(at: Section) -> str:
    name = at.must("time_zone")
    try:
        return ZoneInfo(name or "UTC").key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        advice = close_to(name, available_timezones())
        at.complain("time_zone", f"{name!r} is not an IANA time zone.", f"{advice} Example: Europe/Berlin.")
        return "UTC"


def _country(at: Section, name: str) -> str | None:
    code = at.like(name, COUNTRY, "a country code of two capital letters, such as DE")
    if code in NOT_ISO:
        at.complain(name, f"{code} is not an ISO 3166 code.", f"Did you mean {NOT_ISO[code]}?")
    return code


def _countries(at: Section, name: str) -> tuple[str, ...]:
    codes = at.texts(name)
    for code in codes:
        if len(code) != 2 or not code.isalpha() or not code.isupper() or code in NOT_ISO:
            better = NOT_ISO.get(code.upper(), code.upper()[:2])
            at.complain(name, f"{code!r} is not an ISO 3166 country code.", f"Did you mean {better}?")
    return codes


def _amount(at: Section, name: str) -> float | None:
    return at.number(name, float, 0, 1e15, None)


def _roles(at: Section) -> dict[str, Role]:
    roles = {}
    for key in at.names():
        one = at.sub(key)
        roles[key] = Role(
            key=key,
            name=one.must("name"),
            email=one.like("email", EMAIL, "an e-mail address", needed=True) or "",
            slack=one.like("slack", SLACK, "a Slack handle or member id"),
            deputy=one.text("deputy"),
        )
        one.done()
    for key in REQUIRED_ROLES:
        if key not in roles:
            at.complain(key, "is missing: every plan names this role.", f"Add `{key}:` with name and email.")
    for key, role in roles.items():
        if role.deputy is not None:
            _known_role(at.sub(key), "deputy", role.deputy, roles)
            if role.deputy == key:
                at.sub(key).complain("deputy", "is the role itself.", "Name somebody else, or leave it out.")
    return roles


def _known_role(at: Section, name: str, role: str, roles: Mapping[str, Role]) -> None:
    if role and role not in roles:
        at.complain(name, f"names the role {role!r}, which is not under roles.", close_to(role, roles))


def _systems(at: Section, roles: Mapping[str, Role]) -> dict[str, SystemEntry]:
    for key in at.names():
        if key not in SYSTEMS:
            at.complain(key, "is not a system.", close_to(key, SYSTEMS))
    systems = {}
    for key in SYSTEMS:
        one = at.sub(key)
        owner = one.text("owner") or DEFAULT_OWNER[key]
        _known_role(one, "owner", owner, roles)
        most = one.number("max_closes", int, 1, 1_000_000, DEFAULT_MAX_CLOSES[key])
        systems[key] = SystemEntry(key, owner, most)
        one.done()
    return systems


def _unique(sections: list[Section], what: str) -> None:
    """Complain about names given twice in a list; upper and lower case do not tell names apart."""
    seen: dict[str, int] = {}
    for at in sections:
        name = (at.text("name") or "").casefold()
        if name and name in seen:
            at.complain(
                "name", f"is the name of another {what} (line {seen[name]}).", "Give it its own name."
            )
        seen.setdefault(name, at.line)


def _vendors(top: Section) -> tuple[Vendor, ...]:
    sections = top.items("vendors")
    _unique(sections, "vendor")
    return tuple(_vendor(at) for at in sections)


def _vendor(at: Section) -> Vendor:
    contact, notice = at.sub("contact"), at.sub("notice")
    vendor = Vendor(
        name=at.must("name"),
        kind=at.choice("kind", VENDOR_KINDS, "other") or "other",
        contact_name=contact.must("name"),
        contact_email=contact.like("email", EMAIL, "an e-mail address", needed=True) or "",
        contact_phone=contact.text("phone"),
        from_vendor_hours=_hours(notice, "from_vendor_hours"),
        to_vendor_hours=_hours(notice, "to_vendor_hours"),
        clause=notice.text("clause"),
    )
    for section in (contact, notice, at):
        section.done()
    return vendor


def _hours(at: Section, name: str) -> float | None:
    return at.number(name, float, 0, 24 * 365, None)


def _integrations(top: Section, roles: Mapping[str, Role], vendors: set[str]) -> tuple[Integration, ...]:
    sections = top.items("integrations")
    _unique(sections, "integration")
    taken: dict[Principal, str] = {}
    integrations = []
    for at in sections:
        integration = _integration(at, roles, vendors)
        for principal in integration.principals:
            other = taken.setdefault(principal, integration.name)
            if other != integration.name:
                what = f"{principal.kind}={principal.identifier}"
                at.complain("principals", f"{what} belongs to {other!r} as well.", "List it once.")
        integrations.append(integration)
    return tuple(integrations)


def _integration(at: Section, roles: Mapping[str, Role], vendors: set[str]) -> Integration:
    owner, vendor = at.must("owner"), at.text("vendor")
    _known_role(at, "owner", owner, roles)
    if vendor is not None and vendor not in vendors:
        at.complain("vendor", f"{vendor!r} is not under vendors.", close_to(vendor, vendors))
    integration = Integration(
        name=at.must("name"),
        owner=owner,
        principals=_principals(at, "principals"),
        vendor=vendor,
        purpose=at.text("purpose") or "",
        secret_at=at.texts("secret_at"),
        consumers=_consumers(at, roles),
    )
    if not integration.principals:
        at.complain("principals", "lists nobody.", "List at least one principal with kind and identifier.")
    at.done()
    return integration


def _principals(at: Section, name: str) -> tuple[Principal, ...]:
    principals = []
    for one in at.items(name):
        if not one.has("kind"):
            one.must("kind")
        kind = one.choice("kind", PRINCIPAL_KINDS)
        identifier = one.must("identifier")
        one.done()
        if kind and identifier:
            principal = Principal(kind, identifier)
            if principal in principals:
                one.complain("identifier", f"{kind}={identifier} is listed twice.", "Keep it once.")
            else:
                principals.append(principal)
    return tuple(principals)


def _consumers(at: Section, roles: Mapping[str, Role]) -> tuple[Consumer, ...]:
    consumers = []
    sections = at.items("consumers")
    _unique(sections, "consumer")
    for position, one in enumerate(sections, start=1):
        consumer = Consumer(
            name=one.must("name"),
            order=one.number("order", int, 0, 10_000, position),
            owner=one.must("owner"),
            check=one.text("check"),
        )
        _known_role(one, "owner", consumer.owner, roles)
        one.done()
        consumers.append(consumer)
    return tuple(sorted(consumers, key=lambda consumer: consumer.order))


def _policies(at: Section) -> Policies:
    policies = Policies(
        dangerous_permissions=_permissions(at),
        protected=_principals(at, "protected"),
        break_glass_admin=at.like("break_glass_admin", EMAIL, "a Salesforce user name"),
        deactivate_users=at.flag("deactivate_users"),
        evidence_retention_days=at.number("evidence_retention_days", int, 1, 36_500, 365),
        regions=_regions(at),
        approval=_approval(at.sub("approval")),
        watch=_watch(at.sub("watch")),
        channel_prefix=at.like("channel_prefix", r"[a-z0-9][a-z0-9_-]{0,19}", "a short lower-case word")
        or "inc-",
        enable_proposed_rules=at.flag("enable_proposed_rules"),
    )
    at.done()
    return policies


def _permissions(at: Section) -> tuple[str, ...]:
    if not at.has("dangerous_permissions"):
        at.text("dangerous_permissions")
        return DANGEROUS_PERMISSIONS
    names = at.texts("dangerous_permissions")
    for name in names:
        if not name.startswith("Permissions") or not name.isalnum():
            advice = close_to(f"Permissions{name.replace(' ', '')}", DANGEROUS_PERMISSIONS)
            at.complain("dangerous_permissions", f"{name!r} is not the API name of a permission.", advice)
    return names


def _regions(at: Section) -> tuple[str, ...]:
    regions = at.texts("regions")
    for region in regions:
        if not re.fullmatch(REGION, region):
            at.complain("regions", f"{region!r} is not an AWS region.", "Write it like eu-central-1.")
    return regions


def _approval(at: Section) -> Approval:
    approval = Approval(
        default=at.choice("default", ("proceed", "wait", "reject"), "proceed") or "proceed",
        timeout_minutes=at.number("timeout_minutes", int, 1, 7 * 24 * 60, 15),
        required_for=at.texts("required_for"),
    )
    at.done()
    return approval


def _watch(at: Section) -> Watch:
    shares = []
    for text in at.texts("remind_at"):
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if 0 < share < 1:
            shares.append(share)
        else:
            at.complain("remind_at", f"{text!r} is not a share of the time left.", "Write it like 0.25.")
    watch = Watch(
        remind_at=tuple(sorted(shares, reverse=True)) or Watch().remind_at,
        escalate_after_minutes=at.number("escalate_after_minutes", int, 1, 7 * 24 * 60, 30),
    )
    at.done()
    return watch
