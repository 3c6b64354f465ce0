"""What may stand in the ledger: an allow-list of detail keys, each with the shape its value must have.

The ledger is copied to auditors, lawyers and regulators, so it carries references, counts and hashes, never
a secret and never personal data beyond the usernames that an incident's suspects name. A key that is not
listed here, or a value of another shape, is dropped and its key named in `dropped`; in tests
(`LEAK_RESPONSE_STRICT_LEDGER=1`) it is an error, so that the mistake is found before an emergency.
To let the ledger carry something new, add its key to the shape it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

MAX_TEXT = 600
MAX_ITEMS = 5000

# Each pattern is the published form of a credential, or an unbroken string too mixed and long to be an id.
_SECRETS = re.compile(
    r"-----BEGIN|eyJ[\w-]{8,}\.[\w-]{8,}|\bhv[sbr]\.[\w-]{20,}|\b[sbr]\.[A-Za-z0-9]{20,}|"
    r"\b00D[A-Za-z0-9]{12,15}!|\b5Aep[\w.]{10,}|\bxox[a-z]-|\bxapp-|\bgh[pousr]_\w{20,}|"
    r"://[^/\s:@]+:[^/\s@]+@|(?i:\bbearer\s+\S|(?:password|passwd|pwd|secret|token|api_?key)\s*[=:]\s*\S)"
)
_AWS_SECRET = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])")
_OPAQUE = re.compile(r"[A-Za-z0-9+_=.~-]{40,}")
_PATH = re.compile(r"[a-z]{3,}/")
_RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")  # Salesforce
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]+")
_HASH = re.compile(r"(?:[a-z0-9-]{2,16}:)?(?:[0-9a-fA-F]{16,128}|[A-Za-z0-9+/]{43}=)")
_WORD = re.compile(r"[\w .,:;()/+&'#%-]{0,120}")
_NAME = re.compile(r"[\w .:/@+-]{1,120}")
_TELLTALE = re.compile(
    r"(?i)(?:^|_)(?:token|secret|password|passwd|private_?key|credential)s?$|accesstoken|deletetoken|requesttoken"
)


def looks_secret(text: str) -> bool:
    """Whether text has the form of a credential. Key ids (AKIA...), accessors and record ids do not."""
    if _SECRETS.search(text):
        return True
    if any(_mixed(m.group()) and not _PATH.match(m.group()) for m in _AWS_SECRET.finditer(text)):
        return True
    # Names joined by dots or dashes are made of words and short ids; a credential is mixed throughout.
    return any(_mixed_length(m.group()) >= 32 for m in _OPAQUE.finditer(text))


def _mixed_length(run: str) -> int:
    parts = re.split(r"[._=~-]", run)
    return sum(len(part) for part in parts if _mixed(part) and not _RECORD_ID.fullmatch(part))


def _mixed(run: str) -> bool:
    return any(c.islower() for c in run) and any(c.isupper() for c in run) and any(c.isdigit() for c in run)


def looks_personal(text: str) -> bool:
    """Whether text holds an e-mail address."""
    return bool(_EMAIL.search(text))


# --- shapes: each returns the value as JSON keeps it, or raises ValueError ------------------------


def plain(value: Any) -> Any:
    """Enums, datetimes and paths as the text they are stored as."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def _number(value: Any) -> Any:
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise ValueError("is not a finite number")


def _flag(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError("is neither true nor false")


def _string(value: Any, limit: int = MAX_TEXT) -> str:
    value = plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("is not text")
    if len(value) > limit:
        raise ValueError(f"is longer than {limit} characters")
    if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ValueError("holds control characters")
    if looks_secret(value):
        raise ValueError("looks like a secret")
    return value


def _text(value: Any) -> Any:
    """A sentence for a person: no e-mail address in it."""
    if value is None:
        return None
    text = _string(value)
    if looks_personal(text):
        raise ValueError("holds an e-mail address")
    return text


def _reference(value: Any) -> Any:
    """A system's own id or name, or several; usernames are allowed, secrets are not."""
    if value is None:
        return None
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"holds more than {MAX_ITEMS} items")
        items = [_string(item, 300) for item in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    return _string(value, 300)


def _word(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_word(item) for item in value[:MAX_ITEMS]]
    text = _string(value, 120)
    if not _WORD.fullmatch(text):
        raise ValueError("is not a plain word or name")
    return text


def _hash(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ValueError("is not a hash")
    return value


def _instant(value: Any) -> Any:
    if value is None:
        return None
    text = plain(value)
    if not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("is not an instant with a time zone")
    return text


def _counts(value: Any) -> Any:
    """A count, or counts by name."""
    if not isinstance(value, Mapping):
        return _number(value)
    return {_string(_named(k), 120): _number(v) for k, v in list(value.items())[:MAX_ITEMS]}


def _hashes(value: Any) -> Any:
    """Hashes by file name."""
    if not isinstance(value, Mapping):
        raise ValueError("is not a mapping of names to hashes")
    return {_string(_named(k), 300): _hash(v) for k, v in list(value.items())[:MAX_ITEMS]}


def _state(value: Any, depth: int = 4) -> Any:
    """The recorded before-state: nested references, numbers and flags; no key that names a secret."""
    if value is None or isinstance(value, bool | int | float):
        return _number(value) if isinstance(value, float) else value
    if depth == 0:
        raise ValueError("is nested too deeply")
    if isinstance(value, Mapping):
        return {_string(_named(k), 120): _state(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"holds more than {MAX_ITEMS} items")
        return [_state(item, depth - 1) for item in value]
    return _string(value, 4000)


def _named(key: Any) -> str:
    name = str(plain(key))
    if not _NAME.fullmatch(name) or _TELLTALE.search(name):
        raise ValueError("has a key that may name a secret")
    return name


_SHAPES: dict[Callable[[Any], Any], str] = {
    _counts: """
        count counts before_count after_count remaining residual tries attempts pages rows events bytes size
        entries files records subjects queries unparsed opened closed failed manual planned refused open
        leases grants sessions jobs assignments users tokens_counted missing_count http_status status_code seq
        lower upper limit by_residence by_object by_category duties canaries runs logs batch position total
        succeeded skipped suspects_found visible hidden_count retention_days line changes
        warnings lines messages steps
    """,
    _number: "seconds retry_after timeout_s lag_s duration_s score ratio",
    _flag: """
        passed dry_run present sealed complete approved retried verified changed already_closed truncated
        licensed encrypted policy reversible
    """,
    _hash: """
        sha256 hash head plan_hash change_set_hash salted_hash public_key_sha256 manifest_sha256
        signature_sha256 content_hash prev_hash
    """,
    _hashes: "hashes",
    _instant: """
        started_at ended_at due_at retain_until expires_at window_start window_end aware_at clock_start
        sent_at first_event last_event as_of confirmed_at issued_at
    """,
    _word: """
        system kind status mode method error error_code error_type source sources state object objects field
        fields residence category role region rule phase algorithm step type scope missing unread result
        reason_code policy_name coverage decision
    """,
    _reference: """
        principal ref refs key key_id id ids job_id job_ids session_id user_id username access_key_id
        accessor lease lease_id lease_prefix path bucket object_key version_id request_id run_id flow_run_id
        task_run_id channel channel_id message_ts app app_name name file folder location approver
        confirmed_by owner recipient url suspect suspects found_in where access accesses
        incident user policy_arn arn entity undo_of replaces target_id commander tool version actor
        dropped_from moved_to
    """,
    _text: "detail proof why statement problem fix undo reason message what note comment",
    _state: "before after",
}
ALLOWED: dict[str, Callable[[Any], Any]] = {
    key: shape for shape, keys in _SHAPES.items() for key in keys.split()
}


def allowed_details(details: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Split details into what may be written and what was refused (key -> why, never the value)."""
    kept: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for key, value in details.items():
        shape = ALLOWED.get(key)
        if shape is None:
            refused[key] = "is not on the ledger's allow-list"
            continue
        try:
            kept[key] = shape(value)
        except (ValueError, TypeError) as error:
            refused[key] = str(error)
    return kept, refused


def allowed_target(target: str) -> str:
    """A target that may be written; raises ValueError when it looks like a secret or is not plain text."""
    return _string(target, 400)
