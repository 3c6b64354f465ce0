"""The users of the org: administrators, integrations, employees, customers of the community.

Usernames end in @lab.example. The named ones below are what the rest of the lab builds on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deployments.lab.salesforce.data import rights
from deployments.lab.salesforce.data.columns import Draw, Ints, Objects, objects
from deployments.lab.salesforce.data.crm import Contacts, Context
from deployments.lab.salesforce.data.names import mail_part
from deployments.lab.salesforce.data.places import PLACES
from deployments.lab.salesforce.data.population import (
    COMPLETE,
    MISSING,
    People,
    phones_where,
    where_some,
    written_email,
    written_phone,
)
from deployments.lab.salesforce.data.rights import Rights
from deployments.lab.salesforce.store import Store

DOMAIN = "lab.example"
ADMIN = f"admin@{DOMAIN}"
BREAK_GLASS = f"break-glass@{DOMAIN}"
RESPONDER = f"leak-response@{DOMAIN}"
SUPPORT_CHAT = f"support-chat@{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Named:
    """A user the lab knows by name, and the permission sets it holds."""

    username: str
    last_name: str
    profile: str
    sets: tuple[str, ...] = ()
    first_name: str | None = None
    alias: str = "user"
    user_type: str = "Standard"


NAMED: tuple[Named, ...] = (
    Named(ADMIN, "Okonkwo", rights.ADMIN_PROFILE, ("Report_Builder",), "Ada", "aokon"),
    Named(BREAK_GLASS, "Break Glass", rights.ADMIN_PROFILE, (), None, "brkgl"),
    Named(RESPONDER, "Leak Response", rights.MINIMUM_PROFILE, (rights.RESPONDER_SET,), None, "leakr"),
    Named(
        SUPPORT_CHAT,
        "Support Chat Integration",
        rights.INTEGRATION_PROFILE,
        (rights.SUPPORT_CHAT_SET, rights.SUPPORT_CHAT_FILES_SET),
        None,
        "schat",
    ),
    Named(
        f"warehouse-sync@{DOMAIN}",
        "Warehouse Sync",
        rights.INTEGRATION_PROFILE,
        ("Warehouse_Sync",),
        None,
        "whsyn",
    ),
    Named(
        f"marketing-sync@{DOMAIN}",
        "Marketing Sync",
        rights.INTEGRATION_PROFILE,
        ("Marketing_Sync",),
        None,
        "mksyn",
    ),
    Named(
        f"erp-connect@{DOMAIN}", "ERP Connect", rights.INTEGRATION_PROFILE, ("ERP_Connect",), None, "erpco"
    ),
    Named(f"shop-site@{DOMAIN}", "Shop Site Guest User", rights.GUEST_PROFILE, (), None, "guest", "Guest"),
)
_PROFILES = ("Support Agent", "Store Associate", "Marketing User", "Sales User", "Standard User")
_WEIGHTS = (40, 36, 10, 9, 5)
_OFFICES = ("DE", "GB", "US-NY", "FR", "SG", "BR")
_TITLES = ("Agent", "Senior Agent", "Team Lead", "Store Manager", "Associate", "Analyst")


@dataclass(frozen=True, slots=True)
class Staff:
    """Users before customers are known: ids for ownership, and what is needed to write the rows later."""

    named: Objects
    employees: Objects
    former: int  # how many of the employees (the last ones) have left


def reserve(ctx_store: Store, employees: int, former: int) -> Staff:
    """Ids first: every other record is owned by somebody. The administrator's is the first of all."""
    named = objects(ctx_store.reserve_ids("005", len(NAMED)))
    return Staff(named, objects(ctx_store.reserve_ids("005", employees + former)), former)


def employee_homes(seed: int, count: int) -> Ints:
    """Employees live where the offices are."""
    offices = np.array([next(i for i, p in enumerate(PLACES) if p.code == code) for code in _OFFICES])
    return offices[Draw(seed, "offices").ints(len(offices), count)]


def write_users(
    ctx: Context,
    people: People,
    first_employee: int,
    known: Contacts,
    staff: Staff,
    held: Rights,
    community: int,
) -> None:
    """Everybody who can log in, the named first. They and the employees are the last people."""
    _write_named(ctx, people, first_employee, staff, held)
    _write_employees(ctx, people, first_employee + len(NAMED), known, staff, held)
    _write_community(ctx, people, known, held, community)


def _columns(ctx: Context, draw: Draw, home: Ints, count: int, active: int) -> dict[str, object]:
    """What all users have."""
    time_zone, locale = objects(p.time_zone for p in PLACES)[home], objects(p.locale for p in PLACES)[home]
    recent = ctx.calendar.days_ago(45)
    login = ctx.calendar.instants[recent + draw.ints(ctx.calendar.steps - recent, count)]
    return {
        "IsActive": (np.arange(count) < active).astype(int),
        "TimeZoneSidKey": time_zone,
        "LocaleSidKey": locale,
        "LanguageLocaleKey": objects("en_US" if t.startswith("en") else t[:2] for t in locale.tolist()),
        "EmailEncodingKey": "UTF-8",
        "LastLoginDate": where_some(draw.chance(0.93, count), login),
        "CompanyName": "Lab Retail",
    }


def _write_named(ctx: Context, people: People, first: int, staff: Staff, held: Rights) -> None:
    draw, count = Draw(ctx.seed, "named"), len(NAMED)
    person = np.arange(first, first + count)
    home = people.home[person]
    created = np.zeros(count, dtype=np.int64)
    names = [f"{n.first_name} {n.last_name}" if n.first_name else n.last_name for n in NAMED]
    ids = ctx.load.write(
        "User",
        {
            "Id": staff.named,
            "Username": objects(n.username for n in NAMED),
            "Email": objects(n.username for n in NAMED),
            "LastName": objects(n.last_name for n in NAMED),
            "FirstName": objects(n.first_name for n in NAMED),
            "Name": objects(names),
            "Alias": objects(n.alias for n in NAMED),
            "ProfileId": objects(held.profiles[n.profile] for n in NAMED),
            "UserType": objects(n.user_type for n in NAMED),
            **_columns(ctx, draw, home, count, count),
        },
        created,
        created,
    )
    ctx.truth.add("User", ids, person)
    none = np.zeros(count, dtype=bool)
    ctx.residences.read("User", person, home, np.full(count, MISSING), created, none, home)
    store = ctx.load.store
    store.insert(
        "PermissionSetAssignment",
        [
            {"AssigneeId": user, "PermissionSetId": held.sets[name], "IsActive": 1}
            for user, named in zip(ids.tolist(), NAMED, strict=True)
            for name in named.sets
        ],
    )
    _own_profile(ctx, ids, objects(held.owned[n.profile] for n in NAMED))
    _logins(ctx, draw, ids)


def _write_employees(
    ctx: Context, people: People, first: int, known: Contacts, staff: Staff, held: Rights
) -> None:
    draw, count = Draw(ctx.seed, "employees"), len(staff.employees)
    person = np.arange(first, first + count)
    own = draw.chance(0.3, count)
    home = people.home[person]
    # Some employees shop here too: their mobile number is the one their contact has.
    shoppers = draw.sample(np.flatnonzero(known.has_mobile), count // 33)
    rows = draw.sample(np.arange(count), len(shoppers))
    person[rows], own[rows] = shoppers, True
    first_name, last_name = people.first[person], people.last[person]
    login = [
        f"{mail_part(f)}.{mail_part(n)}{i}@{DOMAIN}"
        for i, (f, n) in enumerate(zip(first_name.tolist(), last_name.tolist(), strict=True))
    ]
    profile = draw.pick(_PROFILES, count, _WEIGHTS)
    none = np.zeros(count, dtype=bool)
    modified = ctx.calendar.any(draw, count)
    created = (modified * draw.rng.random(count)).astype(np.int64)
    ids = ctx.load.write(
        "User",
        {
            "Id": staff.employees,
            "Username": login,
            "Email": login,
            "LastName": last_name,
            "FirstName": first_name,
            "Name": people.full_name[person],
            "Alias": objects(f"{mail_part(n)[:4]}{i % 10_000}"[:8] for i, n in enumerate(last_name.tolist())),
            "Title": draw.pick(_TITLES, count),
            "Department": draw.pick(("Service", "Retail", "Marketing", "Sales"), count),
            "Phone": _switchboard(ctx, draw, home, last_name),
            "MobilePhone": phones_where(draw, own, people.home[person], people.mobile[person], none),
            "City": objects(PLACES[h].cities[0] for h in home.tolist()),
            "State": objects(PLACES[h].state for h in home.tolist()),
            "Country": objects("US" if PLACES[h].state else PLACES[h].names[0] for h in home.tolist()),
            "ProfileId": objects(held.profiles[name] for name in profile.tolist()),
            "UserType": "Standard",
            "EmployeeNumber": objects(f"E{i:05d}" for i in range(count)),
            "ManagerId": where_some(np.arange(count) > 60, staff.employees[draw.ints(min(60, count), count)]),
            **_columns(ctx, draw, home, count, count - staff.former),
        },
        created,
        modified,
    )
    ctx.truth.add("User", ids, person)
    told = np.full(count, COMPLETE)
    ctx.residences.read("User", person, home, told, modified, own, people.home[person])
    _own_profile(ctx, ids, objects(held.owned[name] for name in profile.tolist()))
    _logins(ctx, draw, ids)
    agents = ids[profile == "Support Agent"]
    desk = draw.sample(np.arange(len(agents)), len(agents) // 20)
    rows_ = [
        *((agents[i], "Payments_Desk") for i in desk.tolist()),
        *((user, "Knowledge_Reader") for user in agents.tolist()),
        *((user, "Report_Builder") for user in ids[profile == "Marketing User"].tolist()),
        *((user, "Data_Export_Weekly") for user in ids[profile == "Standard User"][:2].tolist()),
    ]
    ctx.load.write(
        "PermissionSetAssignment",
        {
            "AssigneeId": objects(user for user, _ in rows_),
            "PermissionSetId": objects(held.sets[name] for _, name in rows_),
            "IsActive": 1,
        },
    )


def _switchboard(ctx: Context, draw: Draw, home: Ints, last_name: Objects) -> Objects:
    """The office's one number on most of its people: shared by rule 2, if the office is not too small."""
    phone = np.empty(len(home), dtype=object)
    for place in np.unique(home).tolist():
        rows = np.flatnonzero((home == place) & draw.chance(0.6, len(home)))
        if len(rows) >= 30 and len(set(last_name[rows].tolist())) >= 10:
            number = ctx.numbers.take(np.array([place]))
            here = np.full(len(rows), place)
            phone[rows] = written_phone(
                draw, here, np.repeat(number, len(rows)), np.ones(len(rows), dtype=bool)
            )
    return phone


def _write_community(ctx: Context, people: People, known: Contacts, held: Rights, community: int) -> None:
    """Customers who log in to the community, each tied to its contact."""
    draw = Draw(ctx.seed, "community")
    row = np.sort(draw.sample(np.arange(len(known.has_email)), community))
    count, person = len(row), known.person[row]
    other = draw.chance(0.15, count)
    address = people.email[person]
    address[other] = people.second_email(person[other])
    created = ctx.calendar.after(draw, known.created[row])
    modified = ctx.calendar.after(draw, created)
    profile = held.profiles[rights.COMMUNITY_PROFILE]
    name = people.full_name[person]
    ids = ctx.load.write(
        "User",
        {
            "Username": objects(f"{a.partition('@')[0]}@{DOMAIN}" for a in people.email[person].tolist()),
            "Email": written_email(draw, address),
            "LastName": people.last[person],
            "FirstName": people.first[person],
            "Name": name,
            "Alias": objects(f"cu{i:05d}" for i in range(count)),
            "CommunityNickname": objects(f"{n.split()[0]}{i}"[:40] for i, n in enumerate(name.tolist())),
            "ContactId": known.ids[row],
            "AccountId": known.account[row],
            "ProfileId": profile,
            "UserType": "CspLitePortal",
            **_columns(ctx, draw, people.home[person], count, count),
        },
        created,
        modified,
    )
    ctx.truth.add("User", ids, person)
    none = np.zeros(count, dtype=bool)
    ctx.residences.read(
        "User", person, people.home[person], np.full(count, MISSING), modified, none, people.home[person]
    )
    _own_profile(ctx, ids, np.full(count, held.owned[rights.COMMUNITY_PROFILE], dtype=object))
    _logins(ctx, draw, ids)


def _own_profile(ctx: Context, users: Objects, owned: Objects) -> None:
    """Salesforce lists the profile's own permission set among a user's assignments."""
    ctx.load.write("PermissionSetAssignment", {"AssigneeId": users, "PermissionSetId": owned, "IsActive": 1})


def _logins(ctx: Context, draw: Draw, users: Objects) -> None:
    """The UserLogin row of each user, and a few logins of the last month."""
    ctx.load.write("UserLogin", {"UserId": users})
    count = len(users) * 3
    recent = ctx.calendar.days_ago(30)
    when = ctx.calendar.instants[np.sort(recent + draw.ints(ctx.calendar.steps - recent, count))]
    ctx.load.write(
        "LoginHistory",
        {
            "UserId": users[draw.ints(len(users), count)],
            "LoginTime": when,
            "LoginType": draw.pick(("Application", "Remote Access 2.0"), count, (8, 2)),
            "SourceIp": objects(f"198.51.100.{n}" for n in draw.ints(250, count).tolist()),
            "Status": draw.pick(("Success", "Invalid Password"), count, (95, 5)),
            "Browser": draw.pick(("Chrome 142", "Firefox 144", "Safari 19", "Edge 142"), count),
            "Platform": draw.pick(("Windows 11", "macOS", "iOS", "Android"), count),
            "Application": draw.pick(("Browser", "Salesforce for iOS"), count, (9, 1)),
            "CountryIso": draw.pick(("DE", "GB", "US", "FR"), count),
            "TlsProtocol": "TLS 1.3",
            "LoginUrl": "lab.my.salesforce.example",
        },
    )
