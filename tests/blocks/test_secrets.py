"""Where secrets are looked for, in which order, and what is said when none is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from blocks.errors import BadInput, SecretUnavailable, Unreachable
from blocks.secrets import Reference, SecretRef, resolve


class Sealed:
    def read_secret(self, mount: str, path: str, field: str) -> str:
        raise Unreachable("Vault is sealed.", "Unseal it.")


@pytest.mark.parametrize(
    "text", ["vault:kv/leak-response/aws#secret", "file:/run/key.pem", "file:/run/a.json#key", "env:TOKEN"]
)
def test_a_reference_reads_and_writes_the_same(text: str) -> None:
    assert str(SecretRef.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["xoxb-123-abc", "", "vault:", "vault:kv/x", "vault:kv#f", "vault:/x#f", "s3:a"]
)
def test_what_is_no_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadInput, match="vault:MOUNT/PATH#FIELD") as caught:
        SecretRef.parse(text)
    assert "xoxb" not in str(caught.value)


def test_a_pasted_secret_is_refused_by_blocks_without_repeating_it() -> None:
    class Holder(BaseModel):
        secret: list[Reference]

    with pytest.raises(ValidationError) as caught:
        Holder(secret=["hunter2"])
    assert "hunter2" not in caught.value.errors()[0]["msg"]


def test_the_first_place_that_answers_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from file\n")
    (tmp_path / "all.json").write_text(json.dumps({"key": "from json"}))
    monkeypatch.setenv("A_KEY", "from env")
    file, missing = f"file:{tmp_path / 'key'}", f"file:{tmp_path / 'missing'}"
    assert resolve([file, "env:A_KEY"]) == "from file"
    assert resolve([missing, "env:A_KEY"]) == "from env"
    assert resolve([f"file:{tmp_path / 'all.json'}#key"]) == "from json"
    assert resolve(["vault:kv/a#b", file], Sealed()) == "from file"


def test_when_none_answers_each_place_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("not json, but secret")
    places = ["vault:kv/a/b#c", "env:NOT_SET", f"file:{tmp_path / 'broken.json'}#x", "file:/nowhere"]
    with pytest.raises(SecretUnavailable) as caught:
        resolve(places, Sealed())
    for place in places:
        assert place in caught.value.problem
    assert "sealed" in caught.value.problem and "but secret" not in caught.value.problem
    with pytest.raises(SecretUnavailable, match="no Vault is configured"):
        resolve(["vault:kv/a/b#c"])
    with pytest.raises(SecretUnavailable, match="No secret reference"):
        resolve([])
