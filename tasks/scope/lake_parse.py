"""CSV files of one unit to columns: all files with the same header are joined as bytes and parsed once.

Thousands of small files are slow to parse one by one, so a unit is the piece of work. What the fast parser
cannot be trusted with (compressed, other encodings, a file cut off inside a quoted value) goes through
`logs.read_table`, which names what is wrong and reads the rest.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from tasks.scope.lake_stream import Stream, header_of, open_stream
from tasks.scope.logs import column_name, delimiter_of, read_table

CHUNK = 64 * 1024 * 1024  # bytes joined for one parse: bounds memory whatever the size of a unit
BLOCK = 4 * 1024 * 1024  # what one thread parses; a quoted line break may fall on its edge
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_HEAD = 8 * 1024  # type and time stand among the first columns
_TYPE = re.compile(r"[A-Za-z0-9_]{1,80}")
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
UNKNOWN = "unknown"


@dataclass(slots=True)
class Parsed:
    """Tables of text columns, one for each parse, and what was wrong with the files."""

    tables: list[pa.Table] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    parses: int = 0

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables)


def type_and_day(path: Path) -> tuple[str, str]:
    """Event type and day (YYYY-MM-DD) of a file by its first row; by its name where it has no row.

    `unknown` and an empty day where neither says. Raises OSError when the file cannot be read.
    """
    row = _first_row(path)
    kind = row.get("EVENT_TYPE", "") or next(iter(_TYPE.findall(path.name)), "")
    day = next((d for n in ("TIMESTAMP_DERIVED", "TIMESTAMP") if (d := _day(row.get(n, "")))), "")
    return kind if _TYPE.fullmatch(kind) else UNKNOWN, day or _day(path.name)


def _day(text: str) -> str:
    found = _DAY.search(text)
    if not found or not ("01" <= found[2] <= "12" and "01" <= found[3] <= "31"):
        return ""
    return "-".join(found.groups())


def _first_row(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] == b"\x1f\x8b":
        head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
    wide = head[:2] in _WIDE
    text = head.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    text = text.replace("\0", "")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    header = [column_name(column) for column in next(rows, [])]
    return dict(zip(header, next(rows, []), strict=False))


def parse(
    files: Sequence[Path],
    *,
    columns: Sequence[str] = (),
    telling: str = "",
    chunk: int = CHUNK,
    named: Callable[[str], str] = column_name,
) -> Iterator[Parsed]:
    """Parse files in pieces of about `chunk` bytes; `columns` limits what is kept, except where a file has
    no column `telling`.

    `named` turns a header's names into those of the table; values are text, empty where the file has nothing.
    """
    waiting: dict[tuple[str, ...], list[bytes]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for path in files:
        if path.stat().st_size > chunk and (streamed := open_stream(path, named)) is not None:
            yield from _streamed(streamed, columns, telling, chunk)
            continue
        data = _plain(path.read_bytes())
        header, body = _split(data, named) if data is not None else ((), b"")
        if not header:
            yield _slowly(path, columns, telling, named)
            continue
        if not body:
            continue
        waiting.setdefault(header, []).append(body if body.endswith(b"\n") else body + b"\n")
        sizes[header] = sizes.get(header, 0) + len(body)
        if sizes[header] >= chunk:
            sizes[header] = 0
            yield _fast(header, waiting.pop(header), _wanted(header, columns, telling))
    for header, bodies in waiting.items():
        yield _fast(header, bodies, _wanted(header, columns, telling))


def _streamed(source: Stream, columns: Sequence[str], telling: str, chunk: int) -> Iterator[Parsed]:
    """A large file, piece by piece: memory stays bounded whatever its size."""
    wanted = _wanted(source.header, columns, telling)
    kept = [name for name in source.header if not wanted or name in wanted]
    short = 0

    def skip(_row: object) -> str:
        nonlocal short
        short += 1
        return "skip"

    problems = [f"{source.name}: {problem}" for problem in source.problems]
    try:
        with source.opened() as data:
            rows = pacsv.open_csv(pa.PythonFile(data, mode="r"), *_options(source.header, kept, skip, BLOCK))
            held: list[pa.RecordBatch] = []
            for batch in rows:
                held.append(batch)
                if sum(one.nbytes for one in held) >= chunk:
                    yield Parsed([pa.Table.from_batches(held)], parses=1)
                    held = []
            if held:
                yield Parsed([pa.Table.from_batches(held)], parses=1)
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        problems.append(f"{source.name}: read up to damaged data ({type(error).__name__})")
    if short:
        problems.append(f"{source.name}: {short} lines do not fit the header and were left out")
    if problems:
        yield Parsed(problems=problems)


def _wanted(header: Sequence[str], columns: Sequence[str], telling: str) -> Sequence[str]:
    return columns if not telling or telling in header else ()


def _plain(data: bytes) -> bytes | None:
    """The bytes as UTF-8 text that can be joined with others; None where only the careful way will do."""
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return None
    if data[:2] in _WIDE or b"\0" in data:
        return None
    # A file that ends inside quotes would swallow the start of the next one.
    return None if data.count(b'"') % 2 else data.removeprefix(_BOM)


def _split(data: bytes, named: Callable[[str], str]) -> tuple[tuple[str, ...], bytes]:
    """Column names and the rest; no names where they are not plain or not unique."""
    line, _, body = data.partition(b"\n")
    header = header_of(line, named)
    return (header, body) if header else ((), b"")


def _fast(header: tuple[str, ...], bodies: Sequence[bytes], columns: Sequence[str]) -> Parsed:
    short = 0

    def skip(_row: object) -> str:
        nonlocal short
        short += 1
        return "skip"

    kept = [name for name in header if name in columns] if columns else list(header)
    found = Parsed(parses=1)
    joined = b"".join(bodies)
    try:
        table = _read(header, joined, kept, skip)
    except pa.ArrowInvalid:  # bytes that are not UTF-8, a value longer than a block
        short = 0
        text = joined.decode("utf-8", errors="replace").encode()
        if text != joined:
            found.problems.append("some bytes are not UTF-8 and were replaced")
        table = _read(header, text, kept, skip, block=max(BLOCK, len(text)))
    found.tables.append(table)
    if short:
        found.problems.append(f"{short} lines do not fit the header and were left out")
    return found


def _read(
    header: Sequence[str],
    data: bytes,
    kept: Sequence[str],
    skip: Callable[[object], str],
    block: int = BLOCK,
) -> pa.Table:
    return pacsv.read_csv(pa.BufferReader(data), *_options(header, kept, skip, block))


def _options(
    header: Sequence[str], kept: Sequence[str], skip: Callable[[object], str], block: int
) -> tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions]:
    return (
        pacsv.ReadOptions(column_names=list(header), block_size=block),
        pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        pacsv.ConvertOptions(
            column_types={name: pa.string() for name in kept},
            include_columns=list(kept),
            strings_can_be_null=False,
            check_utf8=True,
        ),
    )


def _slowly(path: Path, columns: Sequence[str], telling: str, named: Callable[[str], str]) -> Parsed:
    rows, problems = read_table(path)
    found = Parsed(problems=[f"{path.name}: {problem}" for problem in problems], parses=1)
    if len(rows):
        rows = rows.set_axis([named(column) for column in rows.columns], axis="columns")
        rows = rows.loc[:, ~rows.columns.str.upper().duplicated()]
        wanted = _wanted(list(rows.columns), columns, telling)
        kept = [column for column in rows.columns if not wanted or column in wanted]
        table = pa.Table.from_pandas(rows[kept], preserve_index=False)
        found.tables.append(table.cast(pa.schema([(column, pa.string()) for column in kept])))
    return found
