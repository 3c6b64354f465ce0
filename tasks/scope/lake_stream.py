"""A large CSV file as a stream of clean UTF-8 rows: what it is, its header, and where it has to end.

One pass over the bytes tells whether the fast parser can be trusted with it; nothing is held in memory.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.scope.logs import delimiter_of

PIECE = 4 * 1024 * 1024  # bytes
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Stream:
    """A file that can be parsed piece by piece. `start`, `end`: where its rows are in the plain bytes."""

    path: Path
    zipped: bool
    header: tuple[str, ...]
    start: int
    end: int
    problems: tuple[str, ...]
    replace: bool  # some bytes are not UTF-8

    @property
    def name(self) -> str:
        return self.path.name

    def opened(self) -> IO[bytes]:
        """The rows, and only these."""
        file = _plain(self.path, self.zipped)
        file.seek(self.start)
        rows = _Part(file, self.end - self.start)
        return io.BufferedReader(_Replaced(rows) if self.replace else rows, PIECE)


def open_stream(path: Path, named: Callable[[str], str]) -> Stream | None:
    """None where only the careful way will do: another encoding or separator, an odd header."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with _plain(path, zipped) as file:
        line = file.readline(PIECE)
    text = line.removeprefix(_BOM)
    header = header_of(text.rstrip(b"\n"), named)
    if not header or not line.endswith(b"\n"):
        return None
    seen = _looked_through(path, zipped)
    if seen is None:
        return None
    problems = [*seen.problems]
    if seen.end < seen.size:
        problems.append("the last line is cut off inside quotes and was left out")
    if seen.replace:
        problems.append("some bytes are not UTF-8 and were replaced")
    return Stream(path, zipped, header, len(line), max(seen.end, len(line)), tuple(problems), seen.replace)


def header_of(line: bytes, named: Callable[[str], str]) -> tuple[str, ...]:
    """The column names of a header line; empty where they are not plain or not unique."""
    try:
        text = line.decode("utf-8").rstrip("\r")
        names = next(csv.reader([text]), []) if delimiter_of(text) == "," else []
    except (UnicodeDecodeError, csv.Error):
        return ()
    header = tuple(named(column) for column in names)
    different = len({column.upper() for column in header}) == len(header)
    return header if line.count(b'"') % 2 == 0 and all(header) and different else ()


def _plain(path: Path, zipped: bool) -> IO[bytes]:
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


@dataclass(slots=True)
class _Seen:
    """What one pass over the bytes tells: how many, and where the last row ends that is outside of quotes."""

    size: int = 0
    end: int = 0
    replace: bool = False
    problems: tuple[str, ...] = ()


def _looked_through(path: Path, zipped: bool) -> _Seen | None:
    """None where a NUL is among the bytes: then the text is none, or UTF-16."""
    seen, quotes = _Seen(), 0
    strict = codecs.getincrementaldecoder("utf-8")()
    with _plain(path, zipped) as file:
        while True:
            try:
                piece = file.read(PIECE)
            except (EOFError, OSError, zlib.error):
                seen.problems = ("the gzip data is damaged or cut off; read up to there",)
                return seen
            if b"\0" in piece:
                return None
            if not seen.replace:
                try:
                    strict.decode(piece, final=not piece)
                except UnicodeDecodeError:
                    seen.replace = True
            if not piece:
                break
            seen.end = _last_end(piece, seen.size, quotes) or seen.end
            quotes += piece.count(b'"')
            seen.size += len(piece)
    if quotes % 2 == 0:
        seen.end = seen.size
    return seen


def _last_end(piece: bytes, before: int, quotes: int) -> int:
    """Just after the last line break of this piece that is outside of quotes; 0 where there is none."""
    at = len(piece)
    inside = (quotes + piece.count(b'"')) % 2
    while (at := piece.rfind(b"\n", 0, at)) >= 0:
        if (inside - piece.count(b'"', at)) % 2 == 0:
            return before + at + 1
    return 0


class _Part(io.RawIOBase):
    """The next bytes of a file, no more than so many."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file, self._left = file, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._file.read(min(len(view), self._left))
        self._left -= len(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Replaced(io.RawIOBase):
    """The same text with what is not UTF-8 replaced."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._waiting:
            data = self._source.read(len(view)) or b""
            self._waiting = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        given, self._waiting = self._waiting[: len(view)], self._waiting[len(view) :]
        view[: len(given)] = given
        return len(given)

    def close(self) -> None:
        self._source.close()
        super().close()
