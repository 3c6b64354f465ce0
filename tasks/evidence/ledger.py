"""The ledger as a file: one hash-chained JSON line per entry, on disk before the call returns.

Threads of one process share a commit (group commit: one fsync covers every entry that was waiting), and
processes take turns by a file lock and continue from each other's head, so that two of them on one ledger
never fork the chain. A line that a crash tore is moved aside into `<ledger>.torn` and that is recorded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.errors import LeakResponseError
from tasks.evidence.allow import allowed_details, allowed_target, looks_secret
from tasks.evidence.chain import (
    ATTEMPT,
    NOTE,
    OUTCOMES,
    RESULT,
    Link,
    canonical,
    check_line,
    digest,
    parse_line,
)
from tasks.evidence.torn import keep_torn, read_torn, sync_folder
from tasks.incident import Phase

STRICT = "LEAK_RESPONSE_STRICT_LEDGER"  # "1" in tests: what may not be written is an error, not dropped
Clock = Callable[[], datetime]


class LedgerError(LeakResponseError):
    """The ledger cannot be written or was used wrongly."""


def utc_now() -> datetime:
    """The one place where the evidence phase reads the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has its place in the chain."""

    kind: str
    phase: str
    action: str
    target: str
    details: Mapping[str, Any]
    attempt_id: str | None = None  # for RESULT


@dataclass(slots=True)
class _Batch:
    drafts: list[Draft]
    written: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False
    woken: threading.Event = field(default_factory=threading.Event)  # done, or its turn to commit


def open_ledger(
    path: Path, *, actor: str = "leak-response", clock: Clock = utc_now, strict: bool | None = None
) -> FileLedger:
    """Open or create the ledger at `path`; a torn last line is moved aside first.

    `actor` names who writes (a program or a role, not a person). Raises LedgerError when the file cannot
    be written.
    """
    return FileLedger(path, actor=actor, clock=clock, strict=strict)


class FileLedger:
    """tasks.incident.Ledger on a file. Every method is thread-safe and safe beside other processes."""

    def __init__(self, path: Path, *, actor: str, clock: Clock, strict: bool | None = None) -> None:
        self.path = path
        self.torn_path = path.with_name(path.name + ".torn")
        self._actor = "withheld" if looks_secret(actor) else actor[:120]
        self._clock = clock
        self._strict = os.environ.get(STRICT) == "1" if strict is None else strict
        self._queue: list[_Batch] = []
        self._queue_lock = threading.Lock()
        self._committing = False
        self._commit_lock = threading.Lock()
        self._inode: int | None = None
        self._offset = 0  # bytes of the file already read into the state below
        self._lines = 0
        self._link = Link()
        self._open: dict[str, dict[str, Any]] = {}
        self._closed: set[str] = set()
        self._noted: set[str] = set()  # torn lines and damage that an entry already speaks of
        self._damage: list[tuple[int, str]] = []
        self.fsyncs = 0
        self._append([])

    # --- writing ---

    def attempt(self, phase: Phase, action: str, target: str, **details: Any) -> str:
        """Write ATTEMPT; returns its id, to be passed to `result`."""
        return self.attempts(phase, action, [(target, details)])[0]

    def attempts(
        self, phase: Phase, action: str, targets: Iterable[tuple[str, Mapping[str, Any]]]
    ) -> list[str]:
        """Write many ATTEMPTs with one fsync; returns their ids in order."""
        drafts = [self._draft(ATTEMPT, phase, action, target, details) for target, details in targets]
        return [str(entry["id"]) for entry in self._append(drafts)]

    def result(self, attempt_id: str, outcome: str, **details: Any) -> None:
        """Write RESULT for an attempt: outcome is "ok", "failed" or "unknown, re-checked".

        A second result for the same attempt is kept as a NOTE, so that it is neither lost nor counted.
        """
        self.results([(attempt_id, outcome, details)])

    def results(self, results: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Write many RESULTs with one fsync."""
        drafts = []
        for attempt_id, outcome, details in results:
            draft = self._draft(RESULT, "", "", "", details)
            kept = dict(draft.details)
            if outcome not in OUTCOMES:
                self._refuse(f"outcome {outcome!r}"[:80], "is not one of " + ", ".join(OUTCOMES))
                kept["dropped"] = [*kept.get("dropped", []), "outcome"]
                outcome = "failed"  # an outcome nobody defined must not read as success
            drafts.append(Draft(RESULT, "", "", "", {**kept, "outcome": outcome}, attempt_id))
        self._append(drafts)

    def note(self, phase: Phase, action: str, target: str, **details: Any) -> None:
        """Write something that happened and changes nothing outside."""
        self._append([self._draft(NOTE, phase, action, target, details)])

    # --- reading ---

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """All entries so far, oldest first. A damaged line is left out here and named by `verify`."""
        with self.path.open("rb") as lines:
            for raw in lines:
                entry = parse_line(raw[:-1]) if raw.endswith(b"\n") else None
                if entry is not None:
                    yield entry

    def open_attempts(self) -> list[Mapping[str, Any]]:
        """Attempts without a result, also those of other processes; oldest first."""
        self._append([])
        with self._commit_lock:
            return list(self._open.values())

    def head(self) -> Link:
        """The last entry's number and hash: what the seal signs."""
        self._append([])
        with self._commit_lock:
            return self._link

    # --- inside ---

    def _draft(
        self, kind: str, phase: Phase | str, action: str, target: str, details: Mapping[str, Any]
    ) -> Draft:
        kept, refused = allowed_details(details)
        try:
            safe_target = allowed_target(target)
        except ValueError as error:
            refused["target"] = str(error)
            safe_target = "sha256:" + hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()
        for key, why in refused.items():
            self._refuse(key, why)
        if refused:
            kept["dropped"] = sorted(refused)
        return Draft(kind, str(phase), action, safe_target, {**kept, "by": self._actor})

    def _refuse(self, key: str, why: str) -> None:
        if self._strict:
            raise LedgerError(
                f"The ledger may not carry {key!r}: it {why}.",
                "Write a reference, a count or a hash; new keys are listed in tasks/evidence/allow.py.",
            )

    def _append(self, drafts: list[Draft]) -> list[dict[str, Any]]:
        """Commit drafts together with whatever other threads have queued meanwhile.

        Who waits is woken by its own event: a lock handed from one to the next costs as many turns of the
        interpreter as there are threads, and a hundred of them waited longer for that than for the disk.
        """
        batch = _Batch(drafts)
        with self._queue_lock:
            self._queue.append(batch)
            waits, self._committing = self._committing, True
        if waits:
            batch.woken.wait()
        if not batch.done:
            self._commit_queue()
        if batch.error is not None:
            raise batch.error
        return batch.written

    def _commit_queue(self) -> None:
        """Commit all that is queued, then give the turn to the first that came meanwhile."""
        with self._queue_lock:
            batches, self._queue = self._queue, []
        try:
            with self._commit_lock:
                self._commit(batches)
        finally:
            for batch in batches:
                batch.woken.set()
            with self._queue_lock:
                self._committing = bool(self._queue)
                if self._queue:
                    self._queue[0].woken.set()

    def _commit(self, batches: list[_Batch]) -> None:
        try:
            with self._locked() as descriptor:
                self._catch_up(descriptor)
                self._write(descriptor, batches)
        except OSError as error:
            problem = LedgerError(
                f"The ledger {self.path.name} cannot be written ({os.strerror(error.errno or 0)}).",
                "Free disk space or repair the folder's permissions, then start the same incident again.",
            )
            for batch in batches:
                batch.error = batch.error or problem
        except LedgerError as problem:
            for batch in batches:
                batch.error = batch.error or problem
        finally:
            for batch in batches:
                batch.done = True

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, locked for one commit; opened anew each time, so that a fork shares no lock."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        if self._inode is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags |= os.O_CREAT
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            raise _gone(self.path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            inode = os.fstat(descriptor).st_ino
            if self._inode is None:
                self._inode = inode
                os.fsync(descriptor)
                sync_folder(self.path.parent)
            elif inode != self._inode:
                raise _gone(self.path)
            yield descriptor
        finally:
            os.close(descriptor)  # gives the lock back too

    def _write(self, descriptor: int, batches: list[_Batch]) -> None:
        link, lines = self._link, bytearray()
        staged: dict[str, dict[str, Any]] = {}  # by kind and id
        for batch in batches:
            entries = []
            for draft in batch.drafts:
                try:
                    entry = self._entry(draft, link, staged)
                except LedgerError as problem:
                    batch.error = problem
                    continue
                link = Link(entry["seq"], entry["hash"])
                lines += canonical(entry) + b"\n"
                entries.append(entry)
                staged[entry["kind"] + entry["id"]] = entry
            batch.written = entries
        if not lines:
            return
        start = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, bytes(lines))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, start)  # half an entry must not stand before the next one
            raise
        self.fsyncs += 1
        for entry in staged.values():
            self._remember(entry)
        self._link, self._offset, self._lines = link, start + len(lines), self._lines + len(staged)

    def _entry(self, draft: Draft, link: Link, staged: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        seq = link.seq + 1
        entry = {
            "seq": seq,
            "at": self._clock().astimezone(UTC).isoformat(),
            "kind": draft.kind,
            "id": draft.attempt_id or f"{draft.kind[0]}-{seq:06d}",
            "phase": draft.phase,
            "action": draft.action,
            "target": draft.target,
            "details": dict(draft.details),
            "prev": link.head,
        }
        if draft.kind == RESULT:
            self._join(entry, staged)
        entry["hash"] = digest(entry)
        return entry

    def _join(self, entry: dict[str, Any], staged: Mapping[str, dict[str, Any]]) -> None:
        """Give a RESULT its attempt's phase, action and target; a second one becomes a NOTE."""
        if entry["id"] in self._closed or RESULT + entry["id"] in staged:
            entry.update(kind=NOTE, phase="close", action="second-result", target=entry["id"])
            entry["id"] = f"N-{entry['seq']:06d}"
            return
        attempt = self._open.get(entry["id"]) or staged.get(ATTEMPT + entry["id"])
        if attempt is None:
            raise LedgerError(
                "A result was written for an attempt that the ledger does not hold.",
                "Pass the id that attempt() returned.",
            )
        entry.update({name: attempt[name] for name in ("phase", "action", "target")})

    def _remember(self, entry: dict[str, Any]) -> None:
        if entry["kind"] == ATTEMPT:
            self._open[entry["id"]] = entry
        elif entry["kind"] == RESULT:
            self._open.pop(entry["id"], None)
            self._closed.add(entry["id"])
        elif entry["action"] in ("ledger-torn-line", "ledger-damage"):
            self._noted.add(entry["target"])

    def _catch_up(self, descriptor: int) -> None:
        """Read what other processes wrote since; under the lock an unfinished line can only be a torn one."""
        size = os.fstat(descriptor).st_size
        if size < self._offset:
            raise LedgerError(
                f"The ledger {self.path.name} became shorter while in use.",
                "Somebody changed it. Keep the file as it is, copy the evidence, and start a new incident.",
            )
        tail = os.pread(descriptor, size - self._offset, self._offset) if size > self._offset else b""
        *whole, rest = tail.split(b"\n")
        for raw in whole:
            self._lines += 1
            entry, self._link, broken = check_line(self._lines, raw, self._link)
            self._damage.extend((b.line, b.problem) for b in broken)
            if entry is not None:
                self._remember(entry)
        self._offset = size - len(rest)
        if rest:
            self._move_aside(descriptor, rest)
        self._speak_of_damage(descriptor)

    def _move_aside(self, descriptor: int, rest: bytes) -> None:
        """Keep the torn bytes in their own file first, then cut them off; a crash between repeats this."""
        keep_torn(self.torn_path, rest)
        os.ftruncate(descriptor, self._offset)
        os.fsync(descriptor)

    def _speak_of_damage(self, descriptor: int) -> None:
        """Write what was found wrong into the ledger itself, once. Damage does not stop containment."""
        drafts = []
        for record in read_torn(self.torn_path):
            target = f"sha256:{record['sha256']}"
            if target not in self._noted:
                details = {"bytes": record["bytes"], "file": self.torn_path.name, "by": self._actor}
                drafts.append(Draft(NOTE, Phase.PRESERVE, "ledger-torn-line", target, details))
        for line, problem in self._damage[:20]:
            target = f"line {line}"
            if target not in self._noted and target not in {d.target for d in drafts}:
                details = {"problem": problem, "by": self._actor}
                drafts.append(Draft(NOTE, Phase.PRESERVE, "ledger-damage", target, details))
        self._damage = []
        if drafts:
            self._write(descriptor, [_Batch(drafts)])


def _gone(path: Path) -> LedgerError:
    return LedgerError(
        f"The ledger {path.name} was moved or replaced while in use.",
        "Put the original file back; the entries written so far are in it.",
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
