"""Whatever a plan file holds, the answer is a plan or a complaint that names a line; never a crash."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.errors import PlanError
from blocks.plan import Plan, parse_plan

LINES = (Path(__file__).parent / "data" / "plan.yaml").read_text().splitlines()
SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
WORDS = st.sampled_from(
    [
        *sorted({word for line in LINES for word in re.findall(r"[\w.@-]+", line)}),
        "null",
        "-1",
        "1e999",
        "nan",
        "[]",
        "{}",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)


def plan_or_complaint(text: str) -> None:
    try:
        assert isinstance(parse_plan(text), Plan)
    except PlanError as error:
        assert re.match(r"plan\.yaml, line \d+", error.problem), error.problem
        assert error.fix and "\n" not in error.problem


@SETTINGS
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    plan_or_complaint(text)


@SETTINGS
@given(VALUES)
def test_any_values(value: object) -> None:
    plan_or_complaint(yaml.safe_dump(value))


@SETTINGS
@given(st.integers(0, len(LINES) - 1), VALUES)
def test_any_value_in_any_line(number: int, value: object) -> None:
    key = LINES[number].partition(":")[0]
    flow = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    plan_or_complaint("\n".join([*LINES[:number], f"{key}: {flow}", *LINES[number + 1 :]]))


@SETTINGS
@given(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES) - 1))
def test_lines_lost_and_doubled(lost: int, doubled: int) -> None:
    lines = [*LINES[:doubled], *LINES[doubled : doubled + 1], *LINES[doubled:]]
    plan_or_complaint("\n".join(line for at, line in enumerate(lines) if at != lost))


def test_odd_shapes() -> None:
    for text in (
        "[" * 5000,
        "? [a, b]\n: c\n",
        '? "a\\nb"\n: c\n',
        "&a {x: *a}\n",
        "a: &b [*b]\n",
        "!!python/object:os.x {}",
    ):
        plan_or_complaint(text)
