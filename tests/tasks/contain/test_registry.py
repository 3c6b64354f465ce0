"""Every access kind keeps its word: four verbs, a name of its own, an undo that says why not."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from blocks.systems import Systems
from tasks.contain.kinds import AccessKind
from tasks.contain.registry import KINDS, kind_named, kinds_of
from tasks.contain.world import World
from tasks.incident import Access, Incident, System

VERBS = ("observe", "close", "prove", "reopen")
ONE_WAY = [kind for kind in KINDS if kind.manual or not kind.reversible]


def named(kind: type[AccessKind]) -> str:
    return f"{kind.system}/{kind.name}"


@pytest.mark.parametrize("kind", KINDS, ids=named)
def test_a_kind_has_all_four_verbs_and_a_name_of_its_own(kind: type[AccessKind]) -> None:
    assert not inspect.isabstract(kind)
    assert all(callable(getattr(kind, verb)) for verb in VERBS)
    assert kind_named(kind.system, kind.name) is kind  # no other kind of the system has its name
    assert kind.action
    assert kind.__doc__


@pytest.mark.parametrize("system", System)
def test_kinds_wait_only_for_kinds_that_stand_before_them(system: System) -> None:
    """Otherwise two could wait for each other."""
    met: set[str] = set()
    for kind in kinds_of(system):
        assert met.issuperset(kind.after), f"{kind.name} waits for one of {kind.after}"
        met.add(kind.name)


@pytest.mark.parametrize("kind", ONE_WAY, ids=named)
def test_what_has_no_way_back_says_so_and_asks_no_system(
    kind: type[AccessKind], systems_of: Callable[..., Systems], incident: Callable[..., Incident]
) -> None:
    """Nothing answers at these systems' addresses: a kind that called one would raise."""
    one = kind(World(incident("salesforce-user=somebody"), systems_of()))

    undone = one.reopen(Access(kind.system, kind.name, "somebody", "something", {}))

    assert not undone.restored
    assert len(undone.detail) > 20  # a sentence: what a person does instead
