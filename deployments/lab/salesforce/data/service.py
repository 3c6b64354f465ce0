"""Cases with what people write in them, their comments and e-mails, tasks, and the files attached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deployments.lab.salesforce.data import texts
from deployments.lab.salesforce.data.columns import Draw, Ints, Mask, Objects, objects
from deployments.lab.salesforce.data.crm import Contacts, Context, birthdays
from deployments.lab.salesforce.data.population import (
    MISSING,
    NO_STATE,
    People,
    addresses,
    emails_where,
    phones_where,
    some,
    where_some,
    written_name,
    written_phone,
)
from deployments.lab.salesforce.data.truth import NOBODY

CONTACT, CUSTOMER_FORM, STRANGER, LEAD_FORM, INTERNAL = range(5)
_SHARES = (0.70, 0.20, 0.08, 0.015, 0.005)
_CLOSED = np.array([False, False, False, True, True, True])
_STATUS = objects(("New", "Working", "Escalated", "Closed", "Closed", "Closed"))
MAILBOX = "support@lab.example"


@dataclass(frozen=True, slots=True)
class Cases:
    ids: Objects
    person: Ints
    created: Ints
    contact: Objects
    account: Objects


@dataclass(frozen=True, slots=True)
class Writers:
    """Who can have written: customers' and strangers' person indexes, and what they can be known by."""

    known: Contacts
    strangers: Ints  # people known by cases alone
    prospects: Ints  # people known by leads alone; each of their leads has their e-mail address
    lead_ids: Objects
    lead_persons: Ints  # of each lead
    order_numbers: Objects


def cases(ctx: Context, people: People, writers: Writers, count: int) -> Cases:
    """Cases of contacts, of customers and strangers who used the web form, and a few about no customer."""
    draw = Draw(ctx.seed, "cases")
    known, customers = writers.known, len(writers.known.has_email)
    origin = np.asarray(draw.rng.choice(5, count, p=_SHARES), dtype=np.int64)
    row = draw.ints(len(known.ids), count)
    created = np.where(
        origin == CONTACT, ctx.calendar.after(draw, known.created[row]), draw.ints(ctx.calendar.steps, count)
    )
    order = np.argsort(created, kind="stable")
    origin, row, created = origin[order], row[order], created[order]
    person = _persons(draw, writers, origin, row)
    about = person != NOBODY
    who = np.where(about, person, 0)
    in_contact = origin == CONTACT
    customer = about & (who < customers)
    can_email, can_phone = np.ones(count, dtype=bool), np.ones(count, dtype=bool)
    form = origin == CUSTOMER_FORM
    can_email[form], can_phone[form] = known.has_email[who[form]], known.has_mobile[who[form]]
    email = about & can_email & (draw.chance(0.75, count) | ~can_phone | (origin > CUSTOMER_FORM))
    phone = about & can_phone & (draw.chance(0.35, count) | (form & ~email))
    quiet = in_contact & draw.chance(0.55, count)  # an agent opened it: nothing supplied
    email, phone = email & ~quiet, phone & ~quiet
    second = in_contact & customer & draw.chance(0.05, count)
    address = people.email[who]
    address[second] = people.second_email(who[second])
    told = np.where(draw.chance(0.5, count) & about, NO_STATE, MISSING)
    place = addresses(draw, people.home[who], told)
    told = np.where(told == MISSING, MISSING, place.told)
    country = objects(t or c for t, c in zip(place.country, place.country_code, strict=True))
    name = people.full_name[who]
    modified = ctx.calendar.after(draw, created)
    status = draw.ints(len(_STATUS), count)
    subject, kind, reason, body = _texts(ctx, draw, people, writers, who, name, about)
    ids = ctx.load.write(
        "Case",
        {
            "CaseNumber": ctx.load.numbers("Case", "CaseNumber", count),
            "ContactId": where_some(in_contact, known.ids[row]),
            "AccountId": where_some(in_contact, known.account[row]),
            "SuppliedName": where_some(about & ~quiet, written_name(draw, name)),
            "SuppliedEmail": emails_where(draw, email, address),
            "SuppliedPhone": phones_where(draw, phone, people.home[who], people.mobile[who], told != MISSING),
            "Type": kind,
            "Reason": reason,
            "Status": _STATUS[status],
            "IsClosed": _CLOSED[status].astype(int),
            "ClosedDate": where_some(_CLOSED[status], ctx.calendar.instants[modified]),
            "Origin": draw.pick(("Web", "Email", "Phone", "Chat", "Store"), count, (5, 3, 1, 2, 1)),
            "Priority": draw.pick(("High", "Medium", "Low"), count, (1, 5, 3)),
            "Subject": subject,
            "Description": body,
            "OwnerId": draw.pick(ctx.owners, count),
            "Web_Country__c": country,
        },
        created,
        modified,
        by=draw.pick(ctx.owners, count),
    )
    ctx.truth.add("Case", ids, person)
    ctx.residences.read(
        "Case",
        who[about],
        people.home[who[about]],
        told[about],
        modified[about],
        phone[about],
        people.home[who[about]],
    )
    return Cases(
        ids,
        person,
        created,
        where_some(in_contact, known.ids[row]),
        where_some(in_contact, known.account[row]),
    )


def _persons(draw: Draw, writers: Writers, origin: Ints, row: Ints) -> Ints:
    """Who wrote each case. Those who used the form can be recognised by what they typed."""
    known, count = writers.known, len(origin)
    linkable = np.flatnonzero(known.has_email | known.has_mobile)
    return np.select(
        [origin == CONTACT, origin == CUSTOMER_FORM, origin == STRANGER, origin == LEAD_FORM],
        [
            known.person[row],
            linkable[draw.ints(len(linkable), count)],
            writers.strangers[draw.ints(len(writers.strangers), count)],
            writers.prospects[draw.ints(len(writers.prospects), count)],
        ],
        NOBODY,
    ).astype(np.int64)


def _texts(
    ctx: Context, draw: Draw, people: People, writers: Writers, who: Ints, name: Objects, about: Mask
) -> tuple[Objects, Objects, Objects, Objects]:
    """Subject, type, reason and description."""
    count = len(who)
    topic = draw.ints(len(texts.CASE_SUBJECTS), count).tolist()
    number = writers.order_numbers[draw.ints(len(writers.order_numbers), count)].tolist()
    subject = objects(
        [texts.CASE_SUBJECTS[t][0].replace("{order}", o) for t, o in zip(topic, number, strict=True)]
    )
    opening, middle = draw.pick(texts.OPENINGS, count).tolist(), draw.pick(texts.BODIES, count).tolist()
    detail = _details(ctx, draw, people, who, texts.DETAILS, draw.chance(0.45, count)).tolist()
    closing = draw.pick(texts.CLOSINGS, count).tolist()
    parts = zip(opening, middle, detail, closing, name.tolist(), strict=True)
    body = objects([f"{o}\n{m}{' ' + d if d else ''}\n{c.replace('{name}', n)}" for o, m, d, c, n in parts])
    inside = draw.pick(texts.INTERNAL, int((~about).sum()))
    subject[~about], body[~about] = objects([text.split(",")[0] for text in inside.tolist()]), inside
    kinds, reasons = objects(s[1] for s in texts.CASE_SUBJECTS), objects(s[2] for s in texts.CASE_SUBJECTS)
    return subject, kinds[topic], reasons[topic], body


def _details(
    ctx: Context, draw: Draw, people: People, who: Ints, templates: Sequence[str], mask: Mask
) -> Objects:
    """Sentences about their writers, where the mask holds."""

    def make(rows: Ints) -> Objects:
        chosen = draw.pick(templates, len(rows)).tolist()
        facts = _facts(ctx, draw, people, who[rows])
        return objects([template.format_map(fact) for template, fact in zip(chosen, facts, strict=True)])

    return some(mask, make)


def _facts(ctx: Context, draw: Draw, people: People, who: Ints) -> Iterator[dict[str, str]]:
    """What a text may say about its writer."""
    count = len(who)
    names = ("phone", "email", "born", "card", "iban", "password", "name")
    columns = (
        written_phone(draw, people.home[who], people.mobile[who], np.ones(count, dtype=bool)),
        people.email[who],
        birthdays(ctx.seed, len(people))[who],
        draw.pick(texts.cards(draw.rng, 997).tolist(), count),
        draw.pick(texts.ibans(draw.rng, 997).tolist(), count),
        draw.pick(texts.passwords(draw.rng, 997).tolist(), count),
        people.full_name[who],
    )
    for values in zip(*(column.tolist() for column in columns), strict=True):
        yield dict(zip(names, values, strict=True))


def comments(ctx: Context, people: People, found: Cases, count: int) -> None:
    draw = Draw(ctx.seed, "comments")
    row = np.sort(draw.ints(len(found.ids), count))
    about = found.person[row] != NOBODY
    who = np.where(about, found.person[row], 0)
    body = _details(ctx, draw, people, who, texts.COMMENTS, about)
    body[~about] = texts.COMMENTS[6]
    created = ctx.calendar.after(draw, found.created[row])
    ids = ctx.load.write(
        "CaseComment",
        {"ParentId": found.ids[row], "CommentBody": body, "IsPublished": draw.ints(2, count)},
        created,
        created,
        by=draw.pick(ctx.owners, count),
    )
    ctx.truth.add("CaseComment", ids, found.person[row])


def emails(ctx: Context, people: People, writers: Writers, found: Cases, count: int) -> None:
    """Mail in and out of cases, and a little that came to the mailbox without one."""
    draw = Draw(ctx.seed, "emails")
    row = draw.ints(len(found.ids), count)
    loose = draw.chance(0.03, count)
    own = np.flatnonzero(writers.known.has_email)
    person = np.where(loose, own[draw.ints(len(own), count)], found.person[row])
    about = person != NOBODY
    who = np.where(about, person, 0)
    known = about & (who < len(writers.known.has_email))
    incoming = loose | (about & draw.chance(0.6, count))
    address = people.email[who]
    second = known & ~loose & draw.chance(0.05, count)
    address[second] = people.second_email(who[second])
    mail, name = emails_where(draw, incoming, address), people.full_name[who]
    created = np.where(
        loose, draw.ints(ctx.calendar.steps, count), ctx.calendar.after(draw, found.created[row])
    )
    detail = _details(ctx, draw, people, who, texts.DETAILS, incoming & draw.chance(0.3, count)).tolist()
    letter = zip(draw.pick(texts.BODIES, count).tolist(), detail, name.tolist(), strict=True)
    body = objects([f"{b}{' ' + d if d else ''}\n\n{n}" for b, d, n in letter])
    body[~incoming] = draw.pick(texts.REPLIES, int((~incoming).sum()))
    team = np.full(count, MAILBOX, dtype=object)
    ids = ctx.load.write(
        "EmailMessage",
        {
            "ParentId": where_some(~loose, found.ids[row]),
            "RelatedToId": where_some(~loose, found.ids[row]),
            "Subject": draw.pick(("Your request", "Re: Your request", "Question", "Re: Order"), count),
            "TextBody": body,
            "FromName": np.where(incoming, name, "Customer Care"),
            "FromAddress": np.where(incoming, mail, team),
            "ToAddress": np.where(incoming, team, np.where(about, people.email[who], team)),
            "Incoming": incoming.astype(int),
            "Status": draw.pick(("New", "Read", "Replied", "Sent"), count),
            "MessageDate": ctx.calendar.instants[created],
        },
        created,
        created,
    )
    ctx.truth.add("EmailMessage", ids, person)


def tasks(ctx: Context, writers: Writers, count: int) -> None:
    draw = Draw(ctx.seed, "tasks")
    known, lead_ids = writers.known, writers.lead_ids
    row, lead = draw.ints(len(known.ids), count), draw.ints(len(lead_ids), count)
    kind = np.asarray(draw.rng.choice(3, count, p=(0.70, 0.25, 0.05)), dtype=np.int64)
    who = where_some(kind == 0, known.ids[row])
    who[kind == 1] = lead_ids[lead][kind == 1]
    person = np.where(kind == 0, known.person[row], np.where(kind == 1, writers.lead_persons[lead], NOBODY))
    created = ctx.calendar.any(draw, count)
    done = draw.chance(0.7, count)
    ids = ctx.load.write(
        "Task",
        {
            "WhoId": who,
            "WhatId": where_some(kind == 0, known.account[row]),
            "AccountId": where_some(kind == 0, known.account[row]),
            "Subject": draw.pick(texts.TASKS, count),
            "ActivityDate": ctx.calendar.days[created],
            "Status": np.where(done, "Completed", "Not Started").astype(object),
            "IsClosed": done.astype(int),
            "Priority": draw.pick(("High", "Normal", "Low"), count, (1, 6, 1)),
            "Type": draw.pick(("Call", "Email", "Other"), count),
            "OwnerId": draw.pick(ctx.owners, count),
            "Description": where_some(draw.chance(0.3, count), draw.pick(texts.REPLIES, count)),
        },
        created,
        created,
    )
    ctx.truth.add("Task", ids, person)


def files(ctx: Context, writers: Writers, found: Cases, count: int) -> None:
    """Attachments, as metadata: photos and invoices of cases and contacts."""
    draw = Draw(ctx.seed, "files")
    known = writers.known
    case, contact = draw.ints(len(found.ids), count), draw.ints(len(known.ids), count)
    on_case = draw.chance(0.7, count)
    created = ctx.calendar.any(draw, count)
    kind = draw.pick(("jpg", "pdf", "png", "docx"), count, (5, 3, 1, 1)).tolist()
    title = [f"{('photo', 'invoice', 'label')[i % 3]}_{i:05d}" for i in range(count)]
    ids = ctx.load.write(
        "ContentVersion",
        {
            "ContentDocumentId": objects(ctx.load.store.reserve_ids("069", count)),
            "IsLatest": np.ones(count, dtype=np.int64),
            "VersionNumber": np.full(count, "1", dtype=object),
            "Title": title,
            "PathOnClient": [f"{t}.{k}" for t, k in zip(title, kind, strict=True)],
            "FileType": [k.upper() for k in kind],
            "FileExtension": kind,
            "ContentSize": draw.ints(4_000_000, count) + 900,
            "FirstPublishLocationId": np.where(on_case, found.ids[case], known.ids[contact]),
            "OwnerId": draw.pick(ctx.owners, count),
        },
        created,
        created,
    )
    ctx.truth.add("ContentVersion", ids, np.where(on_case, found.person[case], known.person[contact]))
