"""Fill an empty store with the lab's retailer: the same seed, size and instant give the same rows."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from deployments.lab.errors import LabError
from deployments.lab.salesforce.data import crm, organisation, rights, sales, service, staff, views
from deployments.lab.salesforce.data.columns import Calendar, Loader, Objects
from deployments.lab.salesforce.data.crm import Context
from deployments.lab.salesforce.data.population import Numbers, People, people, together
from deployments.lab.salesforce.data.residence import Residences
from deployments.lab.salesforce.data.truth import Truth
from deployments.lab.salesforce.store import Store

USERS = 2650  # active ones, without the named
COMMUNITY = 320  # of these, customers who log in
FEWEST = 50  # contacts


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What was generated: rows by object, people, and how many people live where."""

    rows: Mapping[str, int]
    persons: int
    residences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How many of each for so many contacts; `known_by_*` are people without a contact."""

    customers: int
    loyalty: int
    leads: int
    known_by_lead: int
    known_by_loyalty: int
    known_by_case: int
    known_by_individual: int
    community: int
    employees: int
    former: int

    @classmethod
    def of(cls, contacts: int, users: int) -> _Sizes:
        community = min(COMMUNITY * users // USERS, contacts // 3)
        return cls(
            customers=contacts * 96 // 100,
            loyalty=contacts * 40 // 100,
            leads=contacts * 20 // 100,
            known_by_lead=contacts * 18 // 100 + 1,
            known_by_loyalty=contacts * 10 // 100,
            known_by_case=contacts * 5 // 100 + 1,
            known_by_individual=contacts // 100 + 1,
            community=community,
            employees=users - community,
            former=users // 40,
        )


def generate(
    store: Store,
    *,
    seed: int,
    contacts: int,
    now: datetime,
    progress: Callable[[str], None] | None = None,
    users: int = USERS,
) -> DataSummary:
    """Fill `store`, which must be new. Everything lies in the three years before `now`.

    `progress` is told each step's name. Raises LabError when the store has data or `contacts` is too small.
    """
    if contacts < FEWEST or users < FEWEST:
        raise LabError(
            f"{min(contacts, users)} is too few to make a population.",
            f"Use at least {FEWEST} contacts and users.",
        )
    if store.read().execute("SELECT 1 FROM Organization").fetchone():
        raise LabError("The store already has an organisation.", "Use a new folder.")
    tell = progress or (lambda step: None)
    collecting = gc.isenabled()
    gc.disable()  # millions of new objects and no cycles: looking for some would take longer than the work
    try:
        with store.bulk():
            return _generate(store, seed, contacts, users, now, tell)
    finally:
        if collecting:
            gc.enable()


def _generate(
    store: Store, seed: int, contacts: int, users: int, now: datetime, tell: Callable[[str], None]
) -> DataSummary:
    sizes = _Sizes.of(contacts, users)
    calendar = Calendar(seed, now)
    clock, store.clock = store.clock, lambda: datetime.fromisoformat(calendar.instants[0])
    try:
        tell("organisation")
        everyone, numbers = _population(seed, sizes)
        who = staff.reserve(store, sizes.employees, sizes.former)
        admin = str(who.named[0])
        store.system_user = admin
        licenses = organisation.write_organisation(store, store.new_id("00D"))
        held = rights.write_rights(store, licenses)
        ctx = Context(
            seed=seed,
            load=Loader(store, calendar, admin),
            calendar=calendar,
            truth=Truth(),
            residences=Residences(len(everyone)),
            owners=who.employees[: max(1, len(who.employees) // 5)],
            numbers=numbers,
        )
        _records(ctx, everyone, sizes, contacts, who, held, tell)
        organisation.write_setup_history(store, calendar, seed, admin)
        views.write_reports(store, admin)
        views.write_list_views(store)
        organisation.write_tooling(store)
        tell("truth")
        residence = ctx.residences.codes()
        ctx.truth.write(store, residence)
        tell("indexes")
        return _summary(ctx, residence)
    finally:
        store.clock = clock


def _population(seed: int, sizes: _Sizes) -> tuple[People, Numbers]:
    """Customers first, then people known by leads, loyalty, cases or an Individual alone, then users."""
    numbers = Numbers()
    strangers = sizes.known_by_lead + sizes.known_by_loyalty + sizes.known_by_case + sizes.known_by_individual
    employed = len(staff.NAMED) + sizes.employees + sizes.former
    parts = [
        people(seed, "customers", sizes.customers, numbers, first_number=0, paired=True),
        people(seed, "strangers", strangers, numbers, first_number=sizes.customers),
        people(
            seed,
            "employees",
            employed,
            numbers,
            first_number=sizes.customers + strangers,
            home=staff.employee_homes(seed, employed),
        ),
    ]
    return together(parts), numbers


def _records(
    ctx: Context,
    everyone: People,
    sizes: _Sizes,
    contacts: int,
    who: staff.Staff,
    held: rights.Rights,
    tell: Callable[[str], None],
) -> None:
    first = np.cumsum(
        [
            0,
            sizes.customers,
            sizes.known_by_lead,
            sizes.known_by_loyalty,
            sizes.known_by_case,
            sizes.known_by_individual,
        ]
    ).tolist()
    prospects, members, writers_only, individuals_only = (
        np.arange(first[i], first[i + 1]) for i in range(1, 5)
    )
    chosen = crm.plan(ctx.seed, sizes.customers, sizes.loyalty, sizes.leads)
    tell("accounts and contacts")
    account, firm = crm.accounts(ctx, everyone, chosen)
    individual = crm.individuals(ctx, everyone, sizes.customers, individuals_only)
    known = crm.contacts(ctx, everyone, chosen, contacts, account, firm, individual)
    tell("leads and loyalty")
    lead_ids, lead_persons = crm.leads(ctx, everyone, chosen, known, prospects)
    crm.loyalty(ctx, everyone, chosen, known, members)
    crm.payment_tokens(ctx, everyone, known, contacts * 3 // 10)
    tell("orders")
    order_numbers = sales.orders(ctx, known, contacts * 12 // 10, contacts * 13 // 10)
    tell("cases")
    writers = service.Writers(known, writers_only, prospects, lead_ids, lead_persons, order_numbers)
    found = service.cases(ctx, everyone, writers, contacts * 8 // 10)
    service.comments(ctx, everyone, found, contacts * 4 // 10)
    service.emails(ctx, everyone, writers, found, contacts * 4 // 10)
    service.tasks(ctx, writers, contacts * 2 // 10)
    service.files(ctx, writers, found, contacts // 20)
    tell("users")
    staff.write_users(ctx, everyone, first[5], known, who, held, sizes.community)


def _summary(ctx: Context, residence: Objects) -> DataSummary:
    persons = ctx.truth.persons()
    lives = Counter(residence[persons].tolist())
    return DataSummary(dict(sorted(ctx.load.counts.items())), len(persons), dict(sorted(lives.items())))
