"""One scoping of an incident in all three systems of a whole lab: every source is accounted for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import hvac
import requests
from botocore.config import Config

from blocks.systems import Systems
from deployments.lab.lab import Lab
from tasks.incident import Incident, IncidentFolder, ScopeSummary, Suspect, SuspectKind, Window
from tasks.scope.run import scope
from tests.tasks.scope.attack import Notes

SOURCES = {
    *(f"EventLogFile {kind}" for kind in ("RestApi", "BulkApi2", "UniqueQuery", "Login", "ApiTotalUsage")),
    *("ApiEvent", "ReportEvent", "ListViewEvent", "BulkApiResultEventStore"),
    *("RestApiEventLog", "BulkApi2EventLog", "UniqueQueryEventLog", "LoginEventLog"),
    *("LoginHistory", "SetupAuditTrail", "bulk job list"),
    *("CloudTrail event history", "CloudTrail data events", "Vault audit log"),
}


def steal(told: dict[str, Any]) -> None:
    """Use the leaked key and the leaked token as a thief would, with no code of the product's."""
    stolen, aws = told["stolen"], told["aws"]
    s3 = boto3.client(
        "s3",
        endpoint_url=aws["endpoint"],
        region_name=aws["region"],
        aws_access_key_id=stolen["aws_access_key_id"],
        aws_secret_access_key=stolen["aws_secret_access_key"],
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
    s3.list_buckets()
    bucket = aws["buckets"]["attachments"]
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"][:2]:
        s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    session = requests.Session()
    session.trust_env = False
    vault = hvac.Client(url=told["vault"]["addr"], token=stolen["vault_token"], session=session)
    listed = vault.secrets.kv.v2.list_secrets("integrations", mount_point="kv")["data"]["keys"]
    for name in listed:
        vault.secrets.kv.v2.read_secret_version(
            f"integrations/{name}", mount_point="kv", raise_on_deleted_version=True
        )


def done(lab: Lab, home: Path) -> tuple[ScopeSummary, dict[str, Any]]:
    told: dict[str, Any] = json.loads(lab.json_path.read_text(encoding="utf-8"))
    since = datetime.now(UTC) - timedelta(seconds=1)
    steal(told)
    suspects = (
        Suspect(SuspectKind.CONNECTED_APP, told["stolen"]["app"]),
        Suspect(SuspectKind.AWS_ACCESS_KEY, told["stolen"]["aws_access_key_id"], "Case 500: Description"),
        Suspect(SuspectKind.VAULT_ACCESSOR, told["stolen"]["vault_accessor"], "Case 500: Description"),
    )
    now = datetime.now(UTC)
    incident = Incident("gather-1", "an app, a key and a token", suspects, Window(since), now, now, "lab")
    folder = IncidentFolder.of(incident.id, home)
    return scope(incident, Systems.from_lab(lab.json_path), folder, Notes(), now=now, wait_s=0), told


def test_every_source_of_three_systems_is_accounted_for(lab: Lab, tmp_path: Path) -> None:
    summary, told = done(lab, tmp_path)
    lines = {line.source: line for line in summary.coverage}
    assert set(lines) >= SOURCES
    for line in summary.coverage:
        assert line.statement.endswith("."), line
        assert line.present or line.effect or line.source in ("deleted records",), line
    bucket = told["aws"]["buckets"]["attachments"]
    assert lines[f"s3:{bucket}"].present
    assert "no log holds reads of its objects" in lines[f"s3:{bucket}"].statement
    secrets = [line for name, line in lines.items() if name.startswith("vault:kv/data/integrations/")]
    assert secrets
    assert all("has to be replaced" in line.statement for line in secrets)
    said = " ".join(line.statement for line in summary.coverage)
    for secret in ("aws_secret_access_key", "vault_token"):
        assert told["stolen"][secret] not in said
