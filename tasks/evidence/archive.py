"""How a pack is laid out, and how its files are read without trusting it.

A zip can lie: two members of one name, paths that climb out, links, data between members, headers that
disagree. We write one strict form, and reading reports everything that is not in that form.
"""

from __future__ import annotations

import hashlib
import io
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from blocks.errors import BadInput

MANIFEST = "manifest.json"
SEAL = "seal.json"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the zip format's zero: the same folder gives the same bytes
ZIP_MODE = 0o100600
MAX_READ = 512 << 20  # a ledger or manifest larger than this is not one of ours
CHUNK = 1 << 20
HOW_TO_VERIFY = """\
This is the evidence of one incident, packed by salesforce-leak-response.

manifest.json lists every file with its size and SHA-256. seal.json is a signature (ed25519) over the
manifest's SHA-256 and over the last hash of ledger.jsonl, made by a key that never leaves Vault;
public-key.pem is its public half. Get that key a second way and compare before you trust it.

    leak-response verify PACK --public-key FILE

By hand: each line of ledger.jsonl is JSON with sorted keys and no spaces. Its "hash" is the SHA-256 of the
line without "hash", and its "prev" is the "hash" of the line before. What is signed is the "statement" of
seal.json, as JSON with sorted keys and no spaces.
"""
_LOCAL, _CENTRAL, _END = (
    struct.Struct("<4s5H3L2H"),
    struct.Struct("<4s4B4HL2L5H2L"),
    struct.Struct("<4s4H2LH"),
)
_DOS_TIME = (0, (1 << 5) | 1)  # 1980-01-01 00:00


@dataclass(slots=True)
class Members:
    """The files of a pack by name. `problems` names what is wrong with the container itself."""

    names: frozenset[str]
    problems: tuple[str, ...]
    _open: Any  # name -> binary stream
    _measured: dict[str, tuple[str, int]] = field(default_factory=dict)

    def read(self, name: str) -> bytes | None:
        """A small file's content; None when it is not there or cannot be read."""
        if name not in self.names:
            return None
        try:
            with self._open(name) as stream:
                content: bytes = stream.read(MAX_READ + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
            return None
        return content if len(content) <= MAX_READ else None

    def sha256(self, name: str) -> str:
        """SHA-256 of a file; empty when it cannot be read."""
        return self._measure(name)[0]

    def size(self, name: str) -> int:
        """Bytes of a file; -1 when it cannot be read."""
        return self._measure(name)[1]

    def _measure(self, name: str) -> tuple[str, int]:
        if name not in self._measured:
            self._measured[name] = self._hash(name) if name in self.names else ("", -1)
        return self._measured[name]

    def _hash(self, name: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        try:
            with self._open(name) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
            return "", -1
        return digest.hexdigest(), size


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """The files of a pack, zip or folder. Raises BadInput when it is neither."""
    if path.is_dir():
        yield _folder(path)
        return
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
            yield _zip(archive, raw)
    except FileNotFoundError:
        raise BadInput(f"There is no pack at {path}.", "Check the path.") from None
    except (zipfile.BadZipFile, NotImplementedError, OSError, struct.error, UnicodeDecodeError):
        raise BadInput(f"{path} is not a readable zip: damaged or cut off.", "Get the pack again.") from None


def _folder(root: Path) -> Members:
    files: dict[str, Path] = {}
    problems = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            problems.append(f"{name!r} is a link, not a file.")
        elif path.is_file():
            files[name] = path
        elif not path.is_dir():
            problems.append(f"{name!r} is not a plain file.")
    return Members(frozenset(files), tuple(problems), lambda name: files[name].open("rb"))


def _zip(archive: zipfile.ZipFile, raw: IO[bytes]) -> Members:
    infos: dict[str, zipfile.ZipInfo] = {}
    problems = []
    folded: dict[str, str] = {}
    for info in archive.infolist():
        name = info.orig_filename
        problem = _bad_name(name) or _bad_kind(info)
        same = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if name in infos:
            problem = "stands twice in the zip"
        elif same != name:
            problem = f"differs from {same!r} only by its spelling"
        if problem:
            problems.append(f"{name!r} {problem}.")
        infos.setdefault(name, info)
    if not problems and _layout(archive, raw):
        problems.append("The zip was changed outside its files: it is not in the form a pack is written in.")
    return Members(frozenset(infos), tuple(problems), lambda name: archive.open(infos[name]))


def _bad_name(name: str) -> str:
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ":" in parts[0] or "\0" in name:
        return "is not a path inside the pack"
    if any(part in ("", ".", "..") for part in parts):
        return "is a path that climbs out of the pack or is not plain"
    return ""


def _bad_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.external_attr >> 16 != ZIP_MODE:
        return "is not a plain file"
    if info.compress_type != zipfile.ZIP_DEFLATED:
        return "is compressed in a way packs do not use"
    return ""


def _layout(archive: zipfile.ZipFile, raw: IO[bytes]) -> bool:
    """Whether any byte outside the compressed data differs from what our writer puts there.

    Packs past 2 GiB use 64-bit headers, which are not compared; their files are, by the manifest.
    """
    if raw.seek(0, io.SEEK_END) >= zipfile.ZIP64_LIMIT:
        return False
    at, directory = 0, b""
    for info in archive.infolist():
        raw.seek(at)
        header = _local_header(info)
        if info.header_offset != at or raw.read(len(header)) != header or not _ends(raw, info):
            return True
        at += len(header) + info.compress_size
        directory += _central_header(info)
    count = len(archive.infolist())
    end = _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), at, 0)
    raw.seek(at)
    return raw.read() != directory + end


def _name(info: zipfile.ZipInfo) -> tuple[bytes, int]:
    """The name's bytes and the flag that says whether they are UTF-8."""
    name = info.orig_filename
    return name.encode(), 0 if name.isascii() else 0x800


def _local_header(info: zipfile.ZipInfo) -> bytes:
    name, flags = _name(info)
    sizes = (info.CRC, info.compress_size, info.file_size, len(name), 0)
    return _LOCAL.pack(b"PK\3\4", 20, flags, zipfile.ZIP_DEFLATED, *_DOS_TIME, *sizes) + name


def _central_header(info: zipfile.ZipInfo) -> bytes:
    name, flags = _name(info)
    sizes = (info.CRC, info.compress_size, info.file_size, len(name), 0, 0, 0, 0)
    place = (ZIP_MODE << 16, info.header_offset)
    kind = (20, 3, 20, 0, flags, zipfile.ZIP_DEFLATED)
    return _CENTRAL.pack(b"PK\1\2", *kind, *_DOS_TIME, *sizes, *place) + name


def _ends(raw: IO[bytes], info: zipfile.ZipInfo) -> bool:
    """Whether the compressed stream ends exactly where its member does."""
    inflate, left = zlib.decompressobj(-15), info.compress_size
    while left:
        chunk = raw.read(min(CHUNK, left))
        if not chunk:
            return False
        left -= len(chunk)
        try:
            data = inflate.decompress(chunk, CHUNK)
            while inflate.unconsumed_tail and data:
                data = inflate.decompress(inflate.unconsumed_tail, CHUNK)
        except zlib.error:
            return False
        if inflate.eof and (left or inflate.unused_data):
            return False
    return inflate.eof
