"""Which files of a folder that nobody prepared are to be read, those inside of zip archives too.

Everything else is named: a file that is left out without a word would look as if it had been counted.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SUFFIXES = (".csv", ".csv.gz", ".txt", ".tsv", ".txt.gz", ".gz", ".parquet", ".pq")
MOST = 64 * 1024**3  # bytes that one archive may unpack to


@dataclass(frozen=True, slots=True)
class Found:
    """The data files in the order of their names, and what could not be used."""

    paths: tuple[Path, ...]
    problems: tuple[str, ...]


@contextmanager
def data_files(folder: Path) -> Iterator[Found]:
    """The data files below a folder; archives are unpacked for as long as the context lasts."""
    with TemporaryDirectory(prefix="unpacked-") as scratch:
        problems: list[str] = []
        yield Found(tuple(_data(folder, Path(scratch), problems)), tuple(problems))


def _data(folder: Path, scratch: Path, problems: list[str]) -> list[Path]:
    paths: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.name.casefold().endswith(".zip"):
            paths += _unpacked(path, scratch / f"{len(paths)}-{path.stem}", problems)
        else:
            paths += _readable(path, problems)
    return paths


def _readable(path: Path, problems: list[str]) -> list[Path]:
    if path.name.casefold().endswith(SUFFIXES):
        return [path]
    problems.append(f"{path.name}: is neither CSV nor Parquet; left out.")
    return []


def _unpacked(path: Path, target: Path, problems: list[str]) -> list[Path]:
    """The data files of an archive; one that cannot be unpacked is named, whole or member by member."""
    paths: list[Path] = []
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST:
                problems.append(f"{path.name}: would unpack to more than {MOST // 1024**3} GB; left out.")
                return []
            for member in archive.infolist():
                if member.is_dir():
                    continue
                try:
                    paths += _readable(Path(archive.extract(member, target)), problems)
                except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError, EOFError, zlib.error):
                    problems.append(f"{path.name}: {member.filename} is damaged or has a password; left out.")
    except (zipfile.BadZipFile, OSError) as error:
        problems.append(f"{path.name}: cannot be unpacked ({type(error).__name__}).")
    return sorted(paths)
