"""The people the data is about, before any record: where each lives, name, e-mail addresses, phone numbers.

Nobody shares an address or a number with anybody: sharing is added on purpose, where records are made. E-mail
domains are reserved ones (RFC 2606), so nothing here can reach anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from deployments.lab.errors import LabError
from deployments.lab.salesforce.data import names
from deployments.lab.salesforce.data.columns import Draw, Ints, Mask, Objects, objects
from deployments.lab.salesforce.data.places import PLACES, US_NAMES, Place

DOMAINS = (
    "example.com", "example.net", "example.org", "freemail.example", "post.example", "inbox.example",
    "mail-online.example", "kundenpost.example", "courriel.example", "correo.example",
)  # fmt: skip
SURE = 5  # so many households are certain for each place, as far as the population reaches
_EXCHANGES = ("555", *(str(n) for n in range(220, 1000) if n not in (555, 911) and n % 100 != 11))


@dataclass(frozen=True, slots=True)
class People:
    """Columns over all people; a person is an index. `home` indexes PLACES."""

    home: Ints
    sure: Mask  # whose address is complete, so that every place really occurs
    first: Objects
    last: Objects
    full_name: Objects
    email: Objects
    mobile: Objects  # national significant number

    def __len__(self) -> int:
        return len(self.home)

    def second_email(self, person: Ints) -> Objects:
        """Another address of each of these people, as unique as the first."""
        chosen = zip(self.email[person].tolist(), person.tolist(), strict=True)
        return objects(f"{email[0]}_{number}@{DOMAINS[number % 7]}" for email, number in chosen)


def together(parts: Sequence[People]) -> People:
    """All parts as one population, in order."""
    return People(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(People))
    )


class Numbers:
    """Hands out phone numbers of a place, each once."""

    def __init__(self) -> None:
        self._used = np.zeros(len(PLACES), dtype=np.int64)

    def take(self, home: Ints) -> Objects:
        """A new number for each home; LabError when a country's numbers are used up."""
        made = np.empty(len(home), dtype=object)
        order = np.argsort(home, kind="stable")
        found, starts = np.unique(home[order], return_index=True)
        bounds = [*starts.tolist(), len(home)]
        for position, place in enumerate(found.tolist()):
            rows = order[bounds[position] : bounds[position + 1]]
            first = int(self._used[place])
            self._used[place] += len(rows)
            made[rows] = _numbers(PLACES[place], np.arange(first, first + len(rows)))
        return made


def _numbers(place: Place, running: Ints) -> Objects:
    if place.mobile:
        start, digits = place.mobile[0]
        size = 10**digits
        _enough(place, running, size)
        # A multiplier without common factor spreads neighbours over the range and repeats nothing.
        spread = (running * 7_654_321 + 13) % size
        return objects(f"{start}{number:0{digits}d}" for number in spread.tolist())
    areas = place.area_codes
    _enough(place, running, len(areas) * len(_EXCHANGES) * 10_000)
    line = (running * 7_321) % 10_000
    rest = running // 10_000
    area, exchange = rest % len(areas), rest // len(areas)
    return objects(
        f"{areas[a]}{_EXCHANGES[e]}{n:04d}"
        for a, e, n in zip(area.tolist(), exchange.tolist(), line.tolist(), strict=True)
    )


def _enough(place: Place, running: Ints, size: int) -> None:
    if len(running) and int(running[-1]) >= size:
        raise LabError(
            f"There are not enough phone numbers for so many people in {place.code}.",
            "Generate fewer contacts.",
        )


def homes(draw: Draw, households: int) -> tuple[Ints, Mask]:
    """A place for each household, every place first in turn, and which of them are certain."""
    weights = np.array([place.weight for place in PLACES])
    certain = min(households, SURE * len(PLACES))
    chosen = draw.rng.choice(len(PLACES), households, p=weights / weights.sum())
    chosen[:certain] = np.arange(certain) % len(PLACES)
    sure = np.arange(households) < certain
    order = draw.rng.permutation(households)
    return chosen[order].astype(np.int64), sure[order]


def people(
    seed: int,
    part: str,
    count: int,
    numbers: Numbers,
    *,
    first_number: int,
    paired: bool = False,
    home: Ints | None = None,
) -> People:
    """`count` people. `paired`: two and two live together and mostly share the last name.

    `first_number` makes e-mail addresses unique over all calls; `home` says where they live.
    """
    draw = Draw(seed, f"people {part}")
    sure = np.zeros(count, dtype=bool)
    if paired:
        home, sure = homes(draw, (count + 1) // 2)
        home, sure = np.repeat(home, 2)[:count], np.repeat(sure, 2)[:count]
    elif home is None:
        home, _ = homes(draw, count)
    first, last = _names(draw, home, paired)
    serial = range(first_number, first_number + count)
    domain = draw.pick(DOMAINS, count)
    mail_first = {name: names.mail_part(name) for name in set(first.tolist())}
    mail_last = {name: names.mail_part(name) for name in set(last.tolist())}
    parts = list(
        zip(
            [mail_first[name] for name in first.tolist()],
            [mail_last[name] for name in last.tolist()],
            serial,
            domain.tolist(),
            strict=True,
        )
    )
    return People(
        home=home,
        sure=sure,
        first=first,
        last=last,
        full_name=objects([f"{f} {n}" for f, n in zip(first.tolist(), last.tolist(), strict=True)]),
        email=objects([f"{f}.{n}{i}@{d}" for f, n, i, d in parts]),
        mobile=numbers.take(home),
    )


def _names(draw: Draw, home: Ints, paired: bool) -> tuple[Objects, Objects]:
    group_of_place = np.array([names.GROUPS.index(place.group) for place in PLACES])
    groups = group_of_place[home]
    first = _from_pools(draw, groups, [names.FIRST[g] for g in names.GROUPS])
    last = _from_pools(draw, groups, [names.LAST[g] for g in names.GROUPS])
    if paired and len(home) > 1:
        second = np.arange(1, len(home), 2)
        same = second[draw.chance(0.75, len(second))]
        last[same] = last[same - 1]
    return first, last


def _from_pools(draw: Draw, which: Ints, pools: list[tuple[str, ...]]) -> Objects:
    flat = objects(item for pool in pools for item in pool)
    sizes = np.array([len(pool) for pool in pools])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return flat[starts[which] + draw.ints(sizes[which], len(which))]


# --- how the same thing is written elsewhere -----------------------------------------------------


def written_email(draw: Draw, emails: Objects) -> Objects:
    """E-mail addresses as different forms keep them: other case, a plus-tag, white space."""
    style = draw.ints(20, len(emails)).tolist()
    tags = ("shop", "orders", "news", "2024", "returns")
    return objects(
        [_email(e, s, tags[s % 5]) if s < 6 else e for e, s in zip(emails.tolist(), style, strict=True)]
    )


def _email(address: str, style: int, tag: str) -> str:
    local, _, domain = address.partition("@")
    if style < 2:
        return f"{local}+{tag}@{domain}"
    if style == 2:
        return address.upper()
    if style == 3:
        return f"{local.title()}@{domain}"
    return f" {address}" if style == 4 else f"{local}+{tag}@{domain.upper()} "


_DIAL = objects(place.dial for place in PLACES)
_TRUNK = objects(place.trunk for place in PLACES)


def written_phone(draw: Draw, home: Ints, national: Objects, in_country: Mask) -> Objects:
    """Phone numbers in international and, where the record says the country, national spellings."""
    style = draw.ints(6, len(home))
    style[~in_country] %= 3
    rows = zip(style.tolist(), _DIAL[home].tolist(), _TRUNK[home].tolist(), national.tolist(), strict=True)
    return objects([_phone(s, d, t, n) for s, d, t, n in rows])


def _phone(style: int, dial: str, trunk: str, number: str) -> str:
    if style == 0:
        return f"+{dial}{number}"
    if style == 1:
        return f"+{dial} {number[:3]} {number[3:6]} {number[6:]}"
    if style == 2:
        zero = "(0)" if trunk == "0" else ""
        return f"+{dial} {zero}{number[:2]}-{number[2:]}"
    if dial == "1":
        return f"({number[:3]}) {number[3:6]}-{number[6:]}" if style < 5 else f"{number[:3]}.{number[3:]}"
    if style == 3:
        return f"{trunk}{number[:3]}/{number[3:]}"
    return f"{trunk}{number}" if style == 4 else f"{trunk}{number[:3]} {number[3:6]} {number[6:]}"


def written_name(draw: Draw, name: Objects) -> Objects:
    """Names without accents, in capitals, or as they are."""
    pool = set(name.tolist())
    bare, spelled = {n: names.plain(n) for n in pool}, {n: names.spelled_out(n) for n in pool}
    style = draw.ints(10, len(name)).tolist()
    return objects(
        bare[n] if s == 0 else spelled[n] if s == 1 else n.upper() if s == 2 else n
        for n, s in zip(name.tolist(), style, strict=True)
    )


def emails_where(draw: Draw, mask: Mask, emails: Objects) -> Objects:
    """E-mail addresses as written, where the mask holds."""
    return some(mask, lambda rows: written_email(draw, emails[rows]))


def phones_where(draw: Draw, mask: Mask, home: Ints, national: Objects, in_country: Mask) -> Objects:
    """Phone numbers as written, where the mask holds."""
    return some(mask, lambda rows: written_phone(draw, home[rows], national[rows], in_country[rows]))


# --- addresses -----------------------------------------------------------------------------------

COMPLETE, NO_STATE, MISSING = 0, 1, 2  # how much of country and state an address tells


def _postal_codes(place: Place, seed: int) -> list[str | None]:
    rng = np.random.default_rng([7, seed])
    made: list[str | None] = []
    for _ in range(64):
        digits, letters = rng.integers(0, 10, 12).tolist(), rng.integers(0, 20, 12).tolist()
        made.append(
            "".join(
                str(digits[i]) if c == "#" else "ABCEFGHJKLMNPRSTUVWX"[letters[i]] if c == "@" else c
                for i, c in enumerate(place.postal)
            )
            or None
        )
    return made


_STREETS = objects(
    f"{s} {n}" if place.group in ("de", "nl", "sv", "it", "es", "pl") else f"{n} {s}"
    for place in PLACES
    for n in range(3, 131, 4)
    for s in (names.streets(place.group) * 4)[:4]
)
_CITIES = objects(city for place in PLACES for city in (place.cities * 3)[:3])
_POSTALS = objects(code for number, place in enumerate(PLACES) for code in _postal_codes(place, number))
_COUNTRY_CODE = objects(place.country for place in PLACES)
_STATE_CODE = objects(place.state for place in PLACES)


def _spellings() -> tuple[Objects, Objects]:
    countries: list[str] = []
    states: list[str | None] = []
    for place in PLACES:
        spelled = US_NAMES if place.state else (place.names[0], place.names[0], *place.names, place.country)
        countries += [spelled[i % len(spelled)] for i in range(5)]
        states += [place.names[0], place.state] if place.state else [None, None]
    return objects(countries), objects(states)


_COUNTRY_TEXT, _STATE_TEXT = _spellings()
_IN_US = np.array([place.state is not None for place in PLACES])


@dataclass(frozen=True, slots=True)
class Addresses:
    """Address columns, and what a reader can tell from each."""

    street: Objects
    city: Objects
    postal: Objects
    state: Objects
    country: Objects
    state_code: Objects
    country_code: Objects
    told: Ints  # COMPLETE, NO_STATE or MISSING

    def columns(self, prefix: str, rows: Ints | None = None) -> dict[str, Objects]:
        every = {
            "Street": self.street,
            "City": self.city,
            "PostalCode": self.postal,
            "State": self.state,
            "Country": self.country,
            "StateCode": self.state_code,
            "CountryCode": self.country_code,
        }
        return {prefix + name: column if rows is None else column[rows] for name, column in every.items()}


def completeness(draw: Draw, count: int, sure: Mask) -> Ints:
    """How much each address tells: 85 % all, 5 % no state, 10 % not even the country."""
    told = np.asarray(draw.rng.choice(3, count, p=(0.85, 0.05, 0.10)), dtype=np.int64)
    told[sure] = COMPLETE
    return told


def addresses(draw: Draw, home: Ints, told: Ints) -> Addresses:
    """An address at each home that tells country and state as `told` says, in several spellings."""
    count = len(home)
    with_country, with_state = told != MISSING, (told == COMPLETE) & _IN_US[home]
    style = draw.ints(4, count)  # text and code, text, text, code
    country = _COUNTRY_TEXT[home * 5 + draw.ints(5, count)]
    state = _STATE_TEXT[home * 2 + draw.ints(2, count)]
    told = np.where((told == NO_STATE) & ~_IN_US[home], COMPLETE, told)
    some = with_country & draw.chance(0.95, count) | with_state
    return Addresses(
        street=where_some(some, _STREETS[home * 128 + draw.ints(128, count)]),
        city=where_some(some, _CITIES[home * 3 + draw.ints(3, count)]),
        postal=where_some(some, _POSTALS[home * 64 + draw.ints(64, count)]),
        state=where_some(with_state & (style < 3), state),
        country=where_some(with_country & (style < 3), country),
        state_code=where_some(with_state & ((style == 0) | (style == 3)), _STATE_CODE[home]),
        country_code=where_some(with_country & ((style == 0) | (style == 3)), _COUNTRY_CODE[home]),
        told=told,
    )


def some(mask: Mask, make: Callable[[Ints], Objects]) -> Objects:
    """What `make` gives for the rows where the mask holds, None elsewhere."""
    made = np.empty(len(mask), dtype=object)
    rows = np.flatnonzero(mask)
    made[rows] = make(rows)
    return made


def where_some(mask: Mask, values: Objects) -> Objects:
    """The values where the mask holds, None elsewhere."""
    made = np.empty(len(mask), dtype=object)
    made[mask] = values[mask]
    return made
