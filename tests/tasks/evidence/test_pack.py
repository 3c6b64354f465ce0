"""A pack built and sealed by a real Vault is found good; whatever is done to it is found and named."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from blocks.errors import BadInput
from tasks.evidence.chain import canonical, digest
from tasks.evidence.ledger import FileLedger
from tasks.evidence.pack import Pack, build_pack
from tasks.evidence.seal import fingerprint, pem, seal_ledger
from tasks.evidence.verify import verify
from tasks.incident import IncidentFolder, Phase
from tests.tasks.evidence.conftest import Signing
from tests.tasks.evidence.sample import ID, INCIDENT

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def now() -> datetime:
    return NOW


@pytest.fixture
def pack(folder: IncidentFolder, ledger: FileLedger, signing: Signing) -> Pack:
    assert seal_ledger(INCIDENT, folder, ledger, signing.signer, clock=now).sealed
    return build_pack(INCIDENT, folder, ledger, signing.signer, clock=now)


@pytest.fixture
def key_file(pack: Pack, tmp_path: Path) -> Path:
    """The public key, kept by somebody beforehand."""
    path = tmp_path / "kept.pem"
    with zipfile.ZipFile(pack.path) as archive:
        path.write_bytes(archive.read("public-key.pem"))
    return path


def unpacked(pack: Pack, tmp_path: Path) -> Path:
    target = tmp_path / "unpacked"
    with zipfile.ZipFile(pack.path) as archive:
        archive.extractall(target)
    return target


def repacked(folder: Path, to: Path) -> Path:
    """A zip in the very form a pack has, of whatever is in the folder: a careful forger's."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            add(archive, path.relative_to(folder).as_posix(), path.read_bytes())
    return to


def add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int = 0o100600) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, mode << 16
    archive.writestr(info, content)


def test_a_sealed_pack_is_verified_as_zip_and_as_folder(pack: Pack, key_file: Path, tmp_path: Path) -> None:
    assert pack.sealed and pack.sha256 == hashlib.sha256(pack.path.read_bytes()).hexdigest()
    for where in (pack.path, unpacked(pack, tmp_path)):
        result = verify(where, key_file)
        assert (result.verified, result.problems) == (True, ())
        assert (result.incident, result.entries, result.key_pinned) == (ID, pack.entries, True)
        assert result.files == pack.files
    loose = verify(pack.path)
    assert loose.verified and not loose.key_pinned
    assert any(loose.key_sha256 in remark for remark in loose.remarks)


def test_the_pack_holds_the_originals_and_says_what_is_absent(pack: Pack, folder: IncidentFolder) -> None:
    with zipfile.ZipFile(pack.path) as archive:
        names = set(archive.namelist())
        assert (
            archive.read("logs/API-0AT5g00000AbCdEGAV.csv") == next(folder.sub("logs").iterdir()).read_bytes()
        )
        assert b"Not licensed" in archive.read("coverage.txt")
    assert {"incident.json", "containment.json", "scope.json", "duties.json", "README.txt"} <= names
    assert pack.absent == ("report.html", "history/")
    assert any("report.html" in remark for remark in verify(pack.path).remarks)


def test_the_same_folder_gives_the_same_bytes(
    folder: IncidentFolder, signing: Signing, tmp_path: Path, ledger: FileLedger
) -> None:
    other = IncidentFolder(tmp_path / "other")
    shutil.copytree(folder.path, other.path)
    packs = []
    for each in (folder, other):
        again = FileLedger(each.ledger, actor="respond", clock=now)
        packs.append(build_pack(INCIDENT, each, again, signing.signer, clock=now).path.read_bytes())
    assert packs[0] == packs[1]


def test_a_pack_is_never_overwritten(
    pack: Pack, folder: IncidentFolder, ledger: FileLedger, signing: Signing
) -> None:
    before = pack.path.read_bytes()
    blocker = folder.path / "packs" / f"evidence-{ID}-{pack.entries + 2:06d}.zip"
    blocker.write_text("somebody's")
    second = build_pack(INCIDENT, folder, ledger, signing.signer, clock=now)
    assert pack.path.read_bytes() == before and blocker.read_text() == "somebody's"
    assert second.path not in (pack.path, blocker) and verify(second.path).verified


def test_while_vault_is_sealed_the_pack_says_unsealed_and_later_it_is_sealed(
    folder: IncidentFolder, ledger: FileLedger, signing: Signing
) -> None:
    signing.server.seal()
    try:
        checkpoint = seal_ledger(INCIDENT, folder, ledger, signing.signer, clock=now)
        pack = build_pack(INCIDENT, folder, ledger, signing.signer, clock=now)
    finally:
        signing.server.unseal()
    assert not checkpoint.sealed and not pack.sealed and "sealed" in pack.reason
    result = verify(pack.path)
    assert not result.verified and result.problems[0].startswith("The pack is not sealed")
    assert len(result.problems) == 1
    assert [e["action"] for e in ledger.entries() if e["action"] == "unsealed"]
    assert seal_ledger(INCIDENT, folder, ledger, signing.signer, clock=now).sealed
    assert verify(build_pack(INCIDENT, folder, ledger, signing.signer, clock=now).path).verified


def test_a_rotated_key_keeps_older_checkpoints_good(
    folder: IncidentFolder, ledger: FileLedger, signing: Signing
) -> None:
    first = seal_ledger(INCIDENT, folder, ledger, signing.signer, clock=now)
    signing.server.client().secrets.transit.rotate_key(name=signing.block.transit_key)
    second = seal_ledger(INCIDENT, folder, ledger, signing.signer, clock=now)
    assert first.key_sha256 != second.key_sha256
    result = verify(build_pack(INCIDENT, folder, ledger, signing.signer, clock=now).path)
    assert result.problems == ()


def test_an_open_attempt_is_named(folder: IncidentFolder, ledger: FileLedger, signing: Signing) -> None:
    attempt = ledger.attempt(Phase.CONTAIN, "close", "aws/access-key/AKIAX")
    result = verify(build_pack(INCIDENT, folder, ledger, signing.signer, clock=now).path)
    assert result.problems == (f"Attempt {attempt} (entry {int(attempt[2:])}, close) has no result.",)


def test_any_byte_of_the_zip_counts(pack: Pack, key_file: Path, tmp_path: Path) -> None:
    content = pack.path.read_bytes()
    with zipfile.ZipFile(pack.path) as archive:
        structure = {i.header_offset + k for i in archive.infolist() for k in range(30 + len(i.filename))}
        structure |= set(range(archive.start_dir, len(content)))
    places = sorted(structure)[:: max(1, len(structure) // 300)]
    places += random.Random(7).sample(range(len(content)), 300)
    target = tmp_path / "flipped.zip"
    unnoticed = []
    for place in places:
        target.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            if verify(target, key_file).verified:
                unnoticed.append(place)
        except BadInput:
            pass
    assert unnoticed == []


def test_a_flipped_byte_in_any_file_is_named(pack: Pack, key_file: Path, tmp_path: Path) -> None:
    folder = unpacked(pack, tmp_path)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        for place in {0, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            result = verify(folder, key_file)
            assert not result.verified, (name, place)
            told = {"seal.json": "signature", "manifest.json": "anifest"}.get(name, name)
            assert any(told in p or name in p for p in result.problems), (name, result.problems)
        path.write_bytes(content)
    assert verify(folder, key_file).verified


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -30])
def test_a_truncated_zip_is_one_clear_error(pack: Pack, tmp_path: Path, keep: int) -> None:
    target = tmp_path / "short.zip"
    target.write_bytes(pack.path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="not a readable zip"):
        verify(target)


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def rechained(lines: list[bytes]) -> list[bytes]:
    """The lines with fresh numbers and hashes: a forger who knows the format."""
    prev, out = "0" * 64, []
    for seq, raw in enumerate(lines, 1):
        entry = json.loads(raw) | {"seq": seq, "prev": prev}
        entry["hash"] = prev = digest(entry)
        out.append(canonical(entry) + b"\n")
    return out


EDITS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "drop": lambda lines: lines[:3] + lines[4:],
    "drop last": lambda lines: lines[:-1],
    "reorder": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "duplicate": lambda lines: [*lines[:4], lines[3], *lines[4:]],
    "edit": lambda lines: [line.replace(b'"ok"', b'"failed"') for line in lines],
    "insert": lambda lines: [*lines[:2], lines[1].replace(b'"seq":2', b'"seq":3'), *lines[2:]],
    "cut": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "reformat": lambda lines: [lines[0].replace(b":", b": ", 1), *lines[1:]],
}


CAREFUL = [name for name in EDITS if name not in ("cut", "reformat")]  # damage that fresh hashes cannot have
CASES = [(name, False) for name in EDITS] + [(name, True) for name in CAREFUL]


@pytest.mark.parametrize(("name", "careful"), CASES)
def test_a_changed_ledger_is_found_even_with_the_manifest_made_to_match(
    pack: Pack, key_file: Path, tmp_path: Path, name: str, careful: bool
) -> None:
    folder = unpacked(pack, tmp_path)
    lines = EDITS[name](lines_of(folder))
    if careful:
        lines = rechained(lines)
    (folder / "ledger.jsonl").write_bytes(b"".join(lines))
    refit(folder)
    result = verify(folder, key_file)
    assert "The manifest is not the one that was signed." in result.problems
    if not careful:
        assert any("edger" in p for p in result.problems), result.problems
    else:
        assert any("signs another ledger" in p or "ends at entry" in p for p in result.problems)


def refit(folder: Path, key: Ed25519PrivateKey | None = None, **changes: Any) -> None:
    """Make the manifest fit the files again, as far as one can; with a key, also sign anew."""
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    if key:
        (folder / "public-key.pem").write_text(pem(key.public_key()))
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(p for p in folder.rglob("*") if p.is_file())
        if (name := path.relative_to(folder).as_posix()) not in ("manifest.json", "seal.json")
    }
    (folder / "manifest.json").write_bytes(canonical(manifest))
    if not key:
        return
    seal = json.loads((folder / "seal.json").read_bytes())
    seal["statement"]["manifest_sha256"] = hashlib.sha256(canonical(manifest)).hexdigest()
    seal["statement"] |= {k: manifest[k] for k in ("entries", "head")}
    seal["signature"] = base64.b64encode(key.sign(canonical(seal["statement"]))).decode()
    seal["key_sha256"] = fingerprint(key.public_key())
    (folder / "seal.json").write_bytes(canonical(seal))


def test_a_forger_with_another_key_is_found_by_the_pinned_key(
    pack: Pack, key_file: Path, tmp_path: Path
) -> None:
    folder = unpacked(pack, tmp_path)
    shutil.rmtree(folder / "seals")
    lines = rechained([raw for raw in lines_of(folder) if b'"sealed"' not in raw])
    (folder / "ledger.jsonl").write_bytes(b"".join(lines))
    last = json.loads(lines[-1])
    refit(folder, Ed25519PrivateKey.generate(), entries=last["seq"], head=last["hash"])
    forged = repacked(folder, tmp_path / "forged.zip")
    assert verify(forged, key_file).problems == (
        "The pack's signature was made by a key that is not the trusted one.",
    )
    loose = verify(forged)  # without a pinned key nobody could know; so it says to compare
    assert loose.verified and any("Compare its fingerprint" in r for r in loose.remarks)


def test_swapped_signatures_are_found(
    pack: Pack, folder: IncidentFolder, ledger: FileLedger, signing: Signing, key_file: Path, tmp_path: Path
) -> None:
    other = build_pack(INCIDENT, folder, ledger, signing.signer, clock=now)
    target = unpacked(pack, tmp_path)
    with zipfile.ZipFile(other.path) as archive:
        (target / "seal.json").write_bytes(archive.read("seal.json"))
    assert "The manifest is not the one that was signed." in verify(target, key_file).problems
    checkpoint = next((target / "seals").iterdir())
    (target / "seal.json").write_bytes(canonical(json.loads(checkpoint.read_bytes())))
    assert "The pack's signature was made for something else." in verify(target, key_file).problems


def test_added_missing_and_linked_files_are_named(pack: Pack, key_file: Path, tmp_path: Path) -> None:
    folder = unpacked(pack, tmp_path)
    (folder / "logs" / "planted.csv").write_text("x")
    (folder / "duties.json").unlink()
    (folder / "link").symlink_to("/etc/hostname")
    problems = verify(folder, key_file).problems
    assert "logs/planted.csv was added: the manifest does not list it." in problems
    assert "duties.json is missing." in problems
    assert "'link' is a link, not a file." in problems


TRICKS = {
    "climbs": ("../outside.txt", 0o100600),
    "absolute": ("/etc/cron.d/x", 0o100600),
    "backslash": ("..\\outside.txt", 0o100600),
    "dot": ("logs/./x", 0o100600),
    "link": ("link", 0o120777),
    "twice": ("duties.json", 0o100600),
    "spelling": ("Duties.json", 0o100600),
    "drive": ("C:x", 0o100600),
}


@pytest.mark.parametrize("name", TRICKS)
def test_zip_tricks_are_named_and_write_nothing(
    pack: Pack, key_file: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "tricky.zip"
    shutil.copy(pack.path, target)
    member, mode = TRICKS[name]
    before = set(tmp_path.rglob("*"))
    with zipfile.ZipFile(target, "a") as archive, pytest.warns() if name == "twice" else nullcontext():
        add(archive, member, b"planted", mode)
    result = verify(target, key_file)
    assert any(repr(member) in p for p in result.problems), result.problems
    assert set(tmp_path.rglob("*")) == before


def test_bytes_before_between_and_after_the_files_are_found(
    pack: Pack, key_file: Path, tmp_path: Path
) -> None:
    content = pack.path.read_bytes()
    target = tmp_path / "padded.zip"
    for changed in (b"MZ" + content, content + b"tail"):
        target.write_bytes(changed)
        with suppress(BadInput):
            assert not verify(target, key_file).verified
    shutil.copy(pack.path, target)
    with zipfile.ZipFile(target, "a") as archive:
        archive.comment = b"hello"
    assert any("outside its files" in p for p in verify(target, key_file).problems)


def test_a_member_that_lies_about_its_size_is_found(pack: Pack, key_file: Path, tmp_path: Path) -> None:
    content = bytearray(pack.path.read_bytes())
    with zipfile.ZipFile(pack.path) as archive:
        at = archive.start_dir
    struct.pack_into("<L", content, at + 24, 5)  # uncompressed size of the first member
    target = tmp_path / "lying.zip"
    target.write_bytes(content)
    assert not verify(target, key_file).verified


def test_what_is_no_pack_or_no_key_is_one_clear_error(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no pack"):
        verify(tmp_path / "nowhere.zip")
    text = tmp_path / "text.zip"
    text.write_text("hello")
    with pytest.raises(BadInput, match="not a readable zip"):
        verify(text)
    with pytest.raises(BadInput, match="no ed25519 public key"):
        verify(pack.path, text)
    with pytest.raises(BadInput, match="cannot be read"):
        verify(pack.path, tmp_path / "nowhere.pem")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "manifest.json is missing." in verify(empty).problems


def test_verifying_needs_neither_prefect_nor_a_network(pack: Pack, key_file: Path) -> None:
    code = (
        "import sys, socket\n"
        "def no(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = no\n"
        "from pathlib import Path\n"
        "from tasks.evidence.verify import verify\n"
        "assert verify(Path(sys.argv[1]), Path(sys.argv[2])).verified\n"
        "assert 'prefect' not in sys.modules and 'hvac' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(pack.path), str(key_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
