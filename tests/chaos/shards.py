"""Spreads many cases over labs side by side: most of a case is waiting."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """The cases of one lab. Chosen by their names: two labs need not list them in the same order."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`I/N`."""
        index, _, count = text.partition("/")
        return cls(int(index), int(count))

    def takes(self, name: str) -> bool:
        return zlib.crc32(name.encode()) % self.count == self.index


def side_by_side(module: str, count: int, arguments: Iterable[str] = ()) -> Iterator[str]:
    """Run the module once for each shard; yields their lines. Raises RuntimeError when one fails."""
    command = [sys.executable, "-m", module, *arguments, "--shard"]
    shards = [
        subprocess.Popen([*command, f"{index}/{count}"], stdout=subprocess.PIPE, text=True)
        for index in range(count)
    ]
    for shard in shards:
        assert shard.stdout
        yield from shard.stdout
    if failed := [shard.wait() for shard in shards if shard.wait()]:
        raise RuntimeError(f"{len(failed)} labs failed: see above")


def summed_up(lines: Iterable[str], shown: frozenset[str]) -> Counter[str]:
    """Count lines by their first word (up to a tab); those whose word is in `shown`, and all others that
    have none, are printed."""
    words: Counter[str] = Counter()
    for line in lines:
        word, tab, _ = line.rstrip().partition("\t")
        words[word] += bool(tab)
        if not tab or word in shown:
            print(line.rstrip(), flush=True)
    return words
