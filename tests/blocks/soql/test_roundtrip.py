"""Whatever tree the grammar can mean, writing it and reading it back gives the same tree."""

from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from blocks.salesforce.soql import SoqlSyntaxError, parse, render
from tests.blocks.soql.generator import Generator

# Statements come from a random source, which shrinks slowly and to little use: the failing text says enough.
FIND_ONLY = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=400, deadline=None, phases=FIND_ONLY, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_parse_reads_back_what_render_writes(random: Random) -> None:
    query = Generator(random).query()
    assert parse(render(query)) == query


def test_seeded_statements_read_back_and_are_many_different_ones() -> None:
    seen = set()
    for seed in range(1500):
        query = Generator(Random(seed)).query()
        text = render(query)
        assert parse(text) == query, text
        seen.add(text)
    assert len(seen) > 1400


def test_the_same_seed_makes_the_same_statement() -> None:
    assert Generator(Random(7)).query() == Generator(Random(7)).query()


@settings(max_examples=300, deadline=None, phases=FIND_ONLY)
@given(st.randoms(use_true_random=False))
def test_spelling_does_not_matter(random: Random) -> None:
    """Line breaks for spaces outside of strings, and other keyword case, read as the same tree."""
    query = Generator(random).query()
    pieces = render(query).split("'")
    if any("\\" in piece for piece in pieces):
        return  # an escaped quote: the pieces are not what they seem
    respelled = "'".join(p if n % 2 else p.replace(" ", "\n\t ") for n, p in enumerate(pieces))
    assert parse(respelled) == query


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="SELECTFROMWHRidx'(),.:%_\\ 019=<>!+-\n", max_size=60))
def test_any_text_is_read_or_refused_with_a_position_inside_it(text: str) -> None:
    try:
        query = parse(text)
    except SoqlSyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.line == text.count("\n", 0, error.position) + 1
    else:
        assert parse(render(query)) == query


@settings(max_examples=300, deadline=None, phases=FIND_ONLY)
@given(st.randoms(use_true_random=False), st.integers(0, 10_000), st.sampled_from("';*\\\"#"))
def test_damage_is_never_read_as_something_else_unnoticed(random: Random, where: int, damage: str) -> None:
    """A statement cut short by an odd character is refused, or means what its own text says."""
    text = render(Generator(random).query())
    cut = where % (len(text) + 1)
    damaged = text[:cut] + damage + text[cut:]
    try:
        query = parse(damaged)
    except SoqlSyntaxError:
        return
    assert parse(render(query)) == query
    assert damaged.count("'") >= 2  # only inside a string, or as its quote, can it stand
