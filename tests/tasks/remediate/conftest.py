"""One integration over the lab's AWS and Vault, cut off by real containment, with a consumer that reads its
secret where the plan says and works with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.systems import Systems
from blocks.vault import VaultServer
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import ATTACHMENTS, STOLEN_FROM, AwsWorld
from deployments.lab.vault import Vault
from deployments.lab.vault_world import STOLEN_FROM as CHAT
from deployments.lab.vault_world import VaultWorld, put
from tasks.contain.engine import contain
from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import Containment, Incident, IncidentFolder, Suspect, Window
from tasks.remediate.replace import Replaced, replace_all

KV = "integrations/support-chat"
KEY_SECRET = "integrations/support-chat/key"
LOGIN_SECRET = "integrations/support-chat/vault"
PLAN = """version: 1
organisation: {{name: Acme Retail SE, role: controller, time_zone: Europe/Berlin}}
roles:
  incident_commander: {{name: A, email: a@acme.example}}
  legal: {{name: B, email: b@acme.example}}
  privacy: {{name: C, email: c@acme.example}}
  salesforce_admin: {{name: D, email: d@acme.example}}
  integration_engineer: {{name: E, email: e@acme.example}}
  comms: {{name: F, email: f@acme.example}}
integrations:
  - name: Support Chat
    owner: integration_engineer
    principals:
      - {{kind: connected-app, identifier: Support Chat}}
      - {{kind: aws-user, identifier: {user}}}
      - {{kind: vault-approle, identifier: {role}}}
    secret_at:
      - vault:kv/{kv}
      - aws:secretsmanager/{key}
      - aws:secretsmanager/{login}
    consumers:
      - {{name: Attachments, order: 1, owner: integration_engineer, check: "GET {url}"}}
"""


@pytest.fixture(autouse=True)
def _strict_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK_RESPONSE_STRICT_LEDGER", "1")


@dataclass
class Scene:
    """Everything a test of replacement looks at."""

    aws: Aws
    vault: Vault
    aws_world: AwsWorld
    vault_world: VaultWorld
    systems: Systems
    ledger: FileLedger
    folder: IncidentFolder
    suspects: tuple[Suspect, ...] = ()
    declared: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def incident(self) -> Incident:
        at = self.declared
        return Incident("inc-replace-1", "a test", self.suspects, Window(at), at, at, "plan")

    def cut(self, *suspects: str) -> list[Containment]:
        """Contain, and keep the outcome where remediation reads it."""
        self.suspects = tuple(Suspect.parse(text) for text in suspects)
        found = contain(self.incident, self.systems, self.ledger)
        self.folder.write(self.folder.containment, found)
        return found

    def replace(self, wait_s: float = 1.0) -> Replaced:
        (one,) = replace_all(self.incident, self.systems, self.folder, self.ledger, wait_s=wait_s)
        return one

    def kv(self) -> dict[str, Any]:
        answer = self.vault.client().secrets.kv.v2.read_secret_version(
            KV, mount_point="kv", raise_on_deleted_version=True
        )
        return dict(answer["data"]["data"])

    def kv_versions(self) -> dict[str, Any]:
        answer = self.vault.client().secrets.kv.v2.read_secret_metadata(KV, mount_point="kv")
        return dict(answer["data"]["versions"])

    def secret(self, name: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
        answer = self.aws.client("secretsmanager").get_secret_value(SecretId=name, VersionStage=stage)
        return dict(json.loads(answer["SecretString"]))

    def keys(self, user: str = STOLEN_FROM) -> dict[str, str]:
        found = self.aws.client("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in found}

    def written(self) -> str:
        """All that stays behind: the ledger and the incident's folder."""
        files = [path for path in self.folder.path.rglob("*") if path.is_file()]
        return self.ledger.path.read_text() + "".join(path.read_text() for path in files)


class Consumer(BaseHTTPRequestHandler):
    """A service that reads its key from Vault at each request, as a restarted one would, and uses it."""

    read_secret: Callable[[], dict[str, Any]]
    aws: Aws

    def do_GET(self) -> None:
        secret = type(self).read_secret()
        s3 = self.aws.client("s3", secret["aws_access_key_id"], secret["aws_secret_access_key"])
        try:
            s3.list_objects_v2(Bucket=ATTACHMENTS)
            self.send_response(200)
        except ClientError:
            self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def scene(
    lab_aws: Aws, lab_aws_world: AwsWorld, lab_vault: Vault, lab_vault_world: VaultWorld, tmp_path: Path
) -> Iterator[Scene]:
    stolen, root = lab_aws_world.stolen, lab_vault.client()
    pair = {
        "aws_access_key_id": stolen.access_key_id,
        "aws_secret_access_key": stolen.secret_access_key,
    }
    put(lab_vault, KV, {**pair, "chat_webhook": "https://chat.lab.example/hooks/3f9a"})
    login = {
        "vault_role_id": root.auth.approle.read_role_id(CHAT)["data"]["role_id"],
        "vault_secret_id": root.auth.approle.generate_secret_id(CHAT)["data"]["secret_id"],
    }
    manager = lab_aws.client("secretsmanager")
    camel = {"accessKeyId": stolen.access_key_id, "secretAccessKey": stolen.secret_access_key}
    manager.create_secret(Name=KEY_SECRET, SecretString=json.dumps(camel))
    manager.create_secret(Name=LOGIN_SECRET, SecretString=json.dumps(login))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Consumer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/health"
    made = Scene(
        lab_aws,
        lab_vault,
        lab_aws_world,
        lab_vault_world,
        _systems(tmp_path, lab_aws, lab_aws_world, lab_vault, lab_vault_world, url),
        open_ledger(tmp_path / "ledger.jsonl"),
        IncidentFolder.of("inc-replace-1", tmp_path / "home"),
    )
    Consumer.aws, Consumer.read_secret = lab_aws, made.kv
    yield made
    server.shutdown()
    server.server_close()


def _systems(
    folder: Path, aws: Aws, aws_world: AwsWorld, vault: Vault, vault_world: VaultWorld, url: str
) -> Systems:
    for name, text in (
        ("id", aws_world.responder.access_key_id),
        ("key", aws_world.responder.secret_access_key),
        ("login", vault_world.responder_secret_id),
        (
            "plan.yaml",
            PLAN.format(user=STOLEN_FROM, role=CHAT, kv=KV, key=KEY_SECRET, login=LOGIN_SECRET, url=url),
        ),
    ):
        (folder / name).write_text(text)
    account = AwsAccount(
        endpoint_url=aws.endpoint,
        region=aws.region,
        access_key_id=[f"file:{folder / 'id'}"],
        secret_access_key=[f"file:{folder / 'key'}"],
    )
    none = [f"file:{folder / 'id'}"]
    return Systems(
        salesforce=SalesforceOrg(
            instance_url="https://127.0.0.1:9", auth="client_credentials", consumer_key="none", secret=none
        ),
        vault=VaultServer(
            addr=vault.addr, role_id=vault_world.responder_role_id, secret_id=[f"file:{folder / 'login'}"]
        ),
        aws=account,
        slack=SlackWorkspace(token=none, signing_secret=none),
        evidence=EvidenceStore(bucket="none", aws=account),
        plan=load_plan(folder / "plan.yaml"),
    )
