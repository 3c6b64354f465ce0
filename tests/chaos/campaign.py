"""Tries very many cases in labs side by side, keeps what came of each, and goes on where a run was cut short.

Most of a case is waiting, so several labs share two cores. Each lab is a process that tries a share of the
cases and says a line for each; the process that started them writes those lines to the results file, counts,
and tells how long the rest will take. A results file belongs to the code it was made with: when that has
changed, all is tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("blocks", "tasks/contain", "tasks/evidence", "tests/chaos")
RESULTS = Path(".leak-response") / "chaos"
WORLDS = 3
EVERY_S = 30.0  # between two words about how far it is
NOT_MET = "not met"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one case."""

    case: str
    word: str
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """A share of the cases. Chosen by their names: two labs need not list them in the same order."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`I/N`, I from 0."""
        index, _, count = text.partition("/")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, name: str) -> bool:
        return zlib.crc32(name.encode()) % self.count == self.index

    def split(self, parts: int) -> list[Shard]:
        """The same cases, dealt out to that many labs."""
        return [Shard(self.index + self.count * part, self.count * parts) for part in range(parts)]


class Results:
    """What came of the cases tried so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tried: dict[str, Tried] = {}
        self.code = ""
        self.complete = False  # there was nothing left to try
        lines = path.read_text().splitlines() if path.exists() else []
        for number, line in enumerate(lines):
            try:
                told = json.loads(line)
            except ValueError:  # the line at which a run was cut short
                continue
            if number == 0:
                self.code = told["code"]
            elif "complete" in told:
                self.complete = True
            else:
                self._know(told)

    def start_over(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"code": code_hash()}) + "\n")
        self.tried = {}

    def add(self, told: dict[str, object]) -> Tried:
        self._write(told)
        return self._know(told)

    def finish(self) -> None:
        """All has been tried: the next run starts over."""
        self._write({"complete": True})

    def _write(self, told: dict[str, object]) -> None:
        with self.path.open("a") as out:
            out.write(json.dumps(told) + "\n")

    def words(self) -> Counter[str]:
        return Counter(one.word for one in self.tried.values())

    def _know(self, told: dict[str, object]) -> Tried:
        one = Tried(**{**told, "problems": tuple(told["problems"])})  # type: ignore[arg-type]
        self.tried[one.case] = one
        return one


def code_hash() -> str:
    """Of what the cases try."""
    found = hashlib.sha256()
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


def arguments_for(module: str, says: str | None) -> argparse.ArgumentParser:
    """The command line that all campaigns share."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=says)
    parser.add_argument("--worlds", type=int, default=WORLDS, help="labs side by side")
    parser.add_argument("--shard", type=Shard.parse, default=Shard(), help="I/N: that piece of all, I from 0")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--results", type=Path, default=RESULTS / f"{module.rpartition('.')[2]}.jsonl")
    parser.add_argument("--afresh", action="store_true", help="forget what an earlier run has tried")
    parser.add_argument("--keep", action="store_true", help="go on though the code has changed since")
    parser.add_argument("--lab", action="store_true", help=argparse.SUPPRESS)
    return parser


def run_campaign(module: str, given: argparse.Namespace, bad: Container[str]) -> Results:
    """Try what has not been tried yet; prints each case whose word is in `bad`, and how far it is.

    Raises RuntimeError when a lab itself failed: what was tried until then is kept.
    """
    results = Results(given.results)
    changed = bool(results.code) and results.code != code_hash()
    if changed and not given.keep and not given.afresh:
        print("The code has changed since the last run: all is tried again.", flush=True)
    over = given.afresh or not results.code or ((changed or results.complete) and not given.keep)
    if over:
        results.start_over()
    elif results.tried:
        print(f"{len(results.tried)} were tried by an earlier run.", flush=True)
    for one in results.tried.values():
        _show(one, bad)
    options = ["--only", given.only, "--results", str(given.results), "--lab", "--shard"]
    command = [sys.executable, "-m", module, *options]
    labs = [
        subprocess.Popen([*command, str(share)], stdout=subprocess.PIPE, text=True)
        for share in given.shard.split(given.worlds)
    ]
    _collect(labs, results, bad)
    if failed := sum(lab.wait() != 0 for lab in labs):
        raise RuntimeError(f"{failed} labs failed: see above. Run it again: it goes on from here.")
    if given.shard == Shard() and not given.only:
        results.finish()
    return results


def _collect(labs: list[subprocess.Popen[str]], results: Results, bad: Container[str]) -> None:
    started = shown = time.monotonic()
    todo, done = 0, Counter[str]()  # labs that have not begun yet have not said how much they have to do
    for line in _lines(labs):
        told = json.loads(line)
        if "share" in told:
            todo += told["share"]
            started = time.monotonic() if not done else started
            continue
        one = results.add(told)
        done[one.word] += 1
        _show(one, bad)
        if (now := time.monotonic()) - shown > EVERY_S:
            shown = now
            left = (todo - done.total()) * (now - started) / done.total() / 60
            words = ", ".join(f"{count} {word}" for word, count in sorted(done.items()))
            print(f"{done.total()} of {todo} tried ({words}); about {left:.0f} min left", flush=True)


def _lines(labs: list[subprocess.Popen[str]]) -> Iterator[str]:
    """What the labs say, as they say it."""
    said: queue.Queue[str | None] = queue.Queue()

    def read(lab: subprocess.Popen[str]) -> None:
        assert lab.stdout
        for line in lab.stdout:
            said.put(line)
        said.put(None)

    for lab in labs:
        threading.Thread(target=read, args=(lab,), daemon=True).start()
    for _ in labs:
        while (line := said.get()) is not None:
            yield line


def _show(one: Tried, bad: Container[str]) -> None:
    if one.word in bad:
        print(f"{one.word}: {one.case} ({one.seconds:.1f} s)", flush=True)
        for problem in one.problems:
            print(f"  {problem}", flush=True)


def try_share(
    names: Iterable[str], given: argparse.Namespace, one: Callable[[str], tuple[str, Iterable[str]]]
) -> None:
    """In a lab: try its share, a line for each. In an order of chance, the same each time: a run that is cut
    short has tried something of everything."""
    known = Results(given.results).tried
    mine = [name for name in names if given.shard.takes(name) and given.only in name and name not in known]
    print(json.dumps({"share": len(mine)}), flush=True)
    for name in sorted(mine, key=lambda name: zlib.crc32(name[::-1].encode())):
        started = time.monotonic()
        word, problems = one(name)
        tried = Tried(name, word, round(time.monotonic() - started, 2), tuple(problems))
        print(json.dumps(asdict(tried)), flush=True)
