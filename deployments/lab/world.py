"""Puts the lab's servers together into one world: who holds which secret, what leaked, and where it lies.

AWS and Vault make the credentials; they are then pasted into the free text of a few cases, as customers and
colleagues do. The responder's own secrets go into Vault, with file copies for the day Vault is sealed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .aws.world import ATTACHMENTS, EVIDENCE, AwsWorld
from .slack.server import Slack
from .twin import Twin
from .vault import AUDIT_DEVICE, Vault
from .vault_world import VaultWorld, put, write_private

OWN = "leak-response"  # below the KV mount
CASES_TO_CHOOSE_FROM = 10  # the smallest lab has that many
SUSPECTS = ["connected-app=Support Chat"]


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Files that only their owner can read, for when Vault does not answer."""

    salesforce_key: Path
    aws: Path
    slack: Path
    vault_secret_id: Path


def plant_credentials(twin: Twin, aws: AwsWorld, vault: VaultWorld, seed: int) -> list[str]:
    """Paste the AWS key and the Vault token into the text of three cases; returns their numbers."""
    numbers = random.Random(seed).sample(range(1, CASES_TO_CHOOSE_FROM + 1), 3)  # noqa: S311
    texts = (
        "Attachments of our tickets have not loaded since this morning. So that you can try it yourselves, "
        "this is what our job uses:\n"
        f"AWS_ACCESS_KEY_ID={aws.stolen.access_key_id}\n"
        f"AWS_SECRET_ACCESS_KEY={aws.stolen.secret_access_key}\n"
        "Please look into it before the weekend.",
        "The chat no longer finds the order archive. Tomás gave me this token to test with:\n"
        f"{vault.stolen.token}\n"
        "With it the first query works and the second runs into a time-out.",
        "Follow-up of my earlier ticket on attachments, as you asked for the key again: "
        f"{aws.stolen.access_key_id} / {aws.stolen.secret_access_key} (bucket {ATTACHMENTS}).",
    )
    cases = [f"{number:08d}" for number in numbers]
    for case, text in zip(cases, texts, strict=True):
        twin.control("plant", {"object": "Case", "match": {"CaseNumber": case}, "set": {"Description": text}})
    return cases


def store_secrets(
    folder: Path, twin: Twin, aws: AwsWorld, vault: Vault, slack: Slack, vault_world: VaultWorld
) -> BreakGlass:
    """Write the responder's and the integrations' secrets into Vault, and the break-glass files."""
    responder = twin.org["responder"]
    private_key = Path(responder["private_key_file"]).read_text(encoding="utf-8")
    own_aws = {
        "access_key_id": aws.responder.access_key_id,
        "secret_access_key": aws.responder.secret_access_key,
    }
    own_slack = {"token": slack.token, "signing_secret": slack.signing_secret}
    put(
        vault,
        f"{OWN}/salesforce",
        {"private_key": private_key, "client_secret": responder.get("client_secret", "")},
    )
    put(vault, f"{OWN}/aws", own_aws)
    put(vault, f"{OWN}/slack", own_slack)
    store_integrations(vault, aws)
    return BreakGlass(
        salesforce_key=write_private(folder / "salesforce.pem", private_key),
        aws=write_private(folder / "aws.json", json.dumps(own_aws)),
        slack=write_private(folder / "slack.json", json.dumps(own_slack)),
        vault_secret_id=write_private(folder / "vault-secret-id", vault_world.responder_secret_id),
    )


def store_integrations(vault: Vault, aws: AwsWorld) -> None:
    """What the integrations read from Vault at start: the loot of the stolen token."""
    put(
        vault,
        "integrations/support-chat",
        {
            "aws_access_key_id": aws.stolen.access_key_id,
            "aws_secret_access_key": aws.stolen.secret_access_key,
            "chat_webhook": "https://chat.lab.example/hooks/3f9a",
        },
    )
    put(
        vault,
        "integrations/erp-sync",
        {
            "aws_access_key_id": aws.innocent.access_key_id,
            "aws_secret_access_key": aws.innocent.secret_access_key,
        },
    )


def block_values(
    twin: Twin, aws: Mapping[str, Any], vault: Vault, slack: Slack, world: VaultWorld, files: BreakGlass
) -> dict[str, Any]:
    """The keyword arguments of the product's blocks: references to secrets, Vault first, then the file."""
    responder = twin.org["responder"]
    return {
        "vault": {
            "addr": vault.addr,
            "role_id": world.responder_role_id,
            "secret_id": [f"file:{files.vault_secret_id}"],
            "audit_log": [str(vault.audit_log)],
            "audit_device": AUDIT_DEVICE,
        },
        "salesforce": {
            "instance_url": twin.url,
            "auth": "jwt",
            "consumer_key": responder["consumer_key"],
            "username": responder["username"],
            "secret": [f"vault:kv/{OWN}/salesforce#private_key", f"file:{files.salesforce_key}"],
            "audience": twin.url,
            "api_version": twin.org["api_version"],
            "ca_bundle": str(twin.ca),
        },
        "aws": {
            "region": aws["region"],
            "regions": ["us-east-1"],
            "endpoint_url": aws["endpoint"],
            "access_key_id": [f"vault:kv/{OWN}/aws#access_key_id", f"file:{files.aws}#access_key_id"],
            "secret_access_key": [
                f"vault:kv/{OWN}/aws#secret_access_key",
                f"file:{files.aws}#secret_access_key",
            ],
        },
        "slack": {
            "base_url": slack.base_url,
            "token": [f"vault:kv/{OWN}/slack#token", f"file:{files.slack}#token"],
            "signing_secret": [
                f"vault:kv/{OWN}/slack#signing_secret",
                f"file:{files.slack}#signing_secret",
            ],
        },
        "evidence": {"bucket": EVIDENCE, "prefix": "incidents/", "retention_days": 30},
    }
