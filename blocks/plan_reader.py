"""Reading a YAML file so that every complaint can name file, line and key.

The file is read as nodes, not as values: a country `NO` stays a text, a key written twice is noticed,
and each value knows the line it stands in. Complaints are collected, so that one run shows them all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import yaml

from blocks.errors import PlanError

T = TypeVar("T")
D = TypeVar("D")
TRUE = frozenset({"true", "yes", "on"})
FALSE = frozenset({"false", "no", "off"})
EMPTY = frozenset({"", "null", "~"})


@dataclass
class Problems:
    """The complaints about one file."""

    file: str
    found: list[tuple[int, PlanError]] = field(default_factory=list)

    def add(self, line: int, key: str, problem: str, fix: str) -> None:
        shown = " ".join(key.split())[:80]
        self.found.append((line, PlanError(f"{self.file}, line {line}, {shown}: {problem}", fix)))

    def all(self) -> list[PlanError]:
        """The complaints in the order of the file."""
        return [error for _, error in sorted(self.found, key=lambda entry: entry[0])]

    def raise_first(self) -> None:
        """Raise the first complaint, saying how many more there are; do nothing if there is none."""
        if not self.found:
            return
        first, *more = self.all()
        raise PlanError(first.problem, first.fix + (f" ({len(more)} more to correct.)" if more else ""))


def close_to(word: str, known: Iterable[str]) -> str:
    """Advice for a word that is not known: the nearest one, or all when they are few."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Use one of: {', '.join(known)}." if 0 < len(known) <= 20 else "Check the spelling."


class Section:
    """One mapping of the file. Each key is taken out by name; `done` complains about keys left over."""

    def __init__(self, node: yaml.Node | None, key: str, problems: Problems, line: int = 1) -> None:
        self.key = key
        self.problems = problems
        self.line = node.start_mark.line + 1 if node is not None else line
        self._nodes: dict[str, tuple[yaml.Node, int]] = {}
        self._known: list[str] = []
        if isinstance(node, yaml.MappingNode):
            self._take(node)
        elif node is not None and not _is_empty(node):
            problems.add(
                self.line,
                key or "the plan",
                "is not a mapping.",
                "Write `key: value` lines below it, indented.",
            )

    def _take(self, node: yaml.MappingNode) -> None:
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add(line, self.key or "the plan", "has a key that is no word.", "Write a word.")
                continue
            name = str(key_node.value)
            if name in self._nodes:
                first = self._nodes[name][1]
                self.problems.add(
                    line, self._at(name), f"is given twice (first in line {first}).", "Keep one of them."
                )
            else:
                self._nodes[name] = (value, line)

    def _at(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name

    def _find(self, name: str) -> tuple[yaml.Node | None, int]:
        self._known.append(name)
        node, line = self._nodes.get(name, (None, self.line))
        return (None, line) if node is None or _is_empty(node) else (node, line)

    def complain(self, name: str, problem: str, fix: str) -> None:
        """Complain about the value of `name` (or about the section, when it is not there)."""
        self.problems.add(self._nodes.get(name, (None, self.line))[1], self._at(name), problem, fix)

    def has(self, name: str) -> bool:
        """Whether the key is there with a value."""
        node, _ = self._nodes.get(name, (None, 0))
        return node is not None and not _is_empty(node)

    def names(self) -> list[str]:
        """The keys of a section whose keys are names; none of them counts as unknown."""
        self._known += list(self._nodes)
        return list(self._nodes)

    def done(self) -> None:
        """Complain about every key that nobody asked for."""
        for name, (_, line) in self._nodes.items():
            if name not in self._known:
                self.problems.add(
                    line, self._at(name), "is not a key the plan knows.", close_to(name, self._known)
                )

    # --- values ---

    def text(self, name: str, *, needed: bool = False) -> str | None:
        """A scalar as it is written; None when absent (a complaint when `needed`)."""
        node, line = self._find(name)
        if node is None:
            if needed:
                self.problems.add(line, self._at(name), "is missing.", f"Add `{name}:` with a value.")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.problems.add(
                line, self._at(name), "is not a single value.", "Write one value after the colon."
            )
            return None
        return str(node.value).strip()

    def must(self, name: str) -> str:
        """A scalar that has to be there; empty text after the complaint when it is not."""
        return self.text(name, needed=True) or ""

    def like(self, name: str, pattern: str, form: str, *, needed: bool = False) -> str | None:
        """A scalar of a given form."""
        value = self.text(name, needed=needed)
        if value is not None and not re.fullmatch(pattern, value):
            self.complain(name, f"{value!r} is not {form}.", f"Write {form}.")
        return value

    def choice(self, name: str, allowed: Iterable[str], default: str | None = None) -> str | None:
        """One of a few words; `default` when absent."""
        value = self.text(name)
        if value is None:
            return default
        if value not in set(allowed):
            self.complain(name, f"{value!r} is not known.", close_to(value, allowed))
            return default
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.text(name)
        if value is None or value.lower() in TRUE | FALSE:
            return default if value is None else value.lower() in TRUE
        self.complain(name, f"{value!r} is neither true nor false.", "Write true or false.")
        return default

    def number(self, name: str, kind: Callable[[str], T], low: float, high: float, default: D) -> T | D:
        """A number from `low` to `high`; `kind` is int or float."""
        value = self.text(name)
        if value is None:
            return default
        try:
            number = kind(value.replace("_", ""))
        except ValueError:
            self.complain(name, f"{value!r} is not a number.", f"Write a number from {low:g} to {high:g}.")
            return default
        if not low <= float(str(number)) <= high:
            self.complain(name, f"{value} is out of range.", f"Write a number from {low:g} to {high:g}.")
            return default
        return number

    def texts(self, name: str, allowed: Iterable[str] | None = None) -> tuple[str, ...]:
        """A list of scalars (one scalar counts as a list of one), each once."""
        node, _ = self._find(name)
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values: list[str] = []
        for item in items:
            at = item.start_mark.line + 1
            if not isinstance(item, yaml.ScalarNode) or _is_empty(item):
                self.problems.add(
                    at, self._at(name), "holds something that is not a word.", "List words only."
                )
                continue
            value = str(item.value).strip()
            if value in values:
                self.problems.add(at, self._at(name), f"names {value!r} twice.", "Keep it once.")
            elif allowed is not None and value not in set(allowed):
                self.problems.add(at, self._at(name), f"{value!r} is not known.", close_to(value, allowed))
            else:
                values.append(value)
        return tuple(values)

    def sub(self, name: str) -> Section:
        """The mapping under a key; an empty one when it is absent."""
        node, line = self._find(name)
        return Section(node, self._at(name), self.problems, line)

    def items(self, name: str) -> list[Section]:
        """The mappings in the list under a key."""
        node, line = self._find(name)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problems.add(line, self._at(name), "is not a list.", "Begin each entry with `- `.")
            return []
        return [Section(item, f"{self._at(name)}[{n}]", self.problems) for n, item in enumerate(node.value)]


def read_yaml(text: str, file: str) -> tuple[Section, Problems]:
    """The top mapping of a YAML text; raises PlanError when it is no YAML or no mapping."""
    problems = Problems(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "cannot be read"
        raise PlanError(
            f"{file}, line {line}: is not YAML: {problem}.", "Check indentation, quotes and colons there."
        ) from None
    except RecursionError:
        raise PlanError(f"{file}, line 1: is nested without end.", "Write it flatter.") from None
    if node is None or _is_empty(node):
        raise PlanError(f"{file}, line 1: the plan is empty.", "Start from the example in the documentation.")
    section = Section(node, "", problems)
    problems.raise_first()
    return section, problems


def _is_empty(node: yaml.Node) -> bool:
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return plain and str(node.value).strip().lower() in EMPTY
