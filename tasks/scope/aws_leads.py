"""Where the suspected AWS keys led, by CloudTrail: keys, users, roles and sessions that they made, and
credentials in the secrets that they read.

A session of an assumed role and a key made for another user outlive the key they were made with.
CloudTrail tells up to 15 minutes late: a later run may find more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from blocks.aws import AwsAccount, aws_errors
from blocks.errors import LeakResponseError
from blocks.vault import VaultServer
from tasks.incident import Incident, Suspect, SuspectKind
from tasks.scope.aws_trail import Call, history
from tasks.scope.found import FoundCredential, resolved_hits
from tasks.scope.secrets import credentials_in

SECOND = timedelta(seconds=1)
ATTRIBUTE = {SuspectKind.AWS_ACCESS_KEY: "AccessKeyId", SuspectKind.AWS_USER: "Username"}


@dataclass(frozen=True, slots=True)
class AwsLeads:
    """What the keys led to. Nothing in it is a secret but what `credentials` keeps to itself."""

    made: tuple[Suspect, ...] = ()
    read: tuple[str, ...] = ()  # secrets, by name or ARN
    credentials: tuple[FoundCredential, ...] = ()
    unread: tuple[str, ...] = ()  # regions and secrets that could not be looked into


def aws_leads(incident: Incident, account: AwsAccount, vault: VaultServer, now: datetime) -> AwsLeads:
    """Follow the AWS keys and users of an incident. Raises what AWS raises when no region can be read."""
    calls: list[Call] = []
    unread: list[str] = []
    known = {(suspect.kind, suspect.identifier) for suspect in incident.suspects}
    for suspect in incident.suspects:
        if suspect.kind in ATTRIBUTE:
            found = history(account, ATTRIBUTE[suspect.kind], suspect.identifier, incident.window, now)
            calls += [call for call in found.calls if not call.refused]
            unread += found.problems
    made = dict.fromkeys(_made(call) for call in calls if call.made)
    last = {call.secret: call.at for call in sorted(calls, key=lambda call: call.at) if call.secret}
    credentials, closed = _credentials(account, vault, last.items())
    return AwsLeads(
        tuple(one for one in made if (one.kind, one.identifier) not in known),
        tuple(last),
        tuple(one for one in credentials if (one.kind, one.identifier) not in known),
        (*unread, *closed),
    )


def _made(call: Call) -> Suspect:
    made = Suspect.parse(call.made)
    return Suspect(made.kind, made.identifier, f"CloudTrail: {call.name} by {call.key_id}")


def _credentials(
    account: AwsAccount, vault: VaultServer, read: Iterable[tuple[str, datetime]]
) -> tuple[tuple[FoundCredential, ...], list[str]]:
    hits, unread = [], []
    for secret, at in read:
        try:
            text = _text(account, secret, at)
        except LeakResponseError:
            unread.append(secret)
            continue
        hits += [(hit, f"Secrets Manager {secret}") for hit in credentials_in(text)]
    return resolved_hits(hits, vault).credentials, unread


def _text(account: AwsAccount, secret: str, at: datetime) -> str:
    """The newest version that was there at that moment (both, where two came in that second): what has been
    written since is its replacement."""
    client = account.client("secretsmanager")
    with aws_errors("secretsmanager:ListSecretVersionIds"):
        versions = client.list_secret_version_ids(SecretId=secret, IncludeDeprecated=True)["Versions"]
    there = [v for v in versions if v["CreatedDate"] <= at + SECOND]  # both are told in whole seconds
    if not there:
        return ""
    newest = max(v["CreatedDate"] for v in there)
    texts = []
    for version in (v["VersionId"] for v in there if v["CreatedDate"] == newest):
        with aws_errors("secretsmanager:GetSecretValue"):
            told = client.get_secret_value(SecretId=secret, VersionId=version)
            texts.append(str(told.get("SecretString") or ""))
    print("TEXTS", texts)
    return "\n".join(texts)
