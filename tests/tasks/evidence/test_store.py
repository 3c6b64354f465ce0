"""A pack in a real bucket with Object Lock: written once, locked, read back, and not deletable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import EVIDENCE, AwsWorld
from tasks.evidence.ledger import FileLedger
from tasks.evidence.pack import Pack, build_pack
from tasks.evidence.store import store_pack
from tasks.incident import IncidentFolder
from tests.tasks.evidence.conftest import Signing
from tests.tasks.evidence.sample import ID, INCIDENT


@pytest.fixture
def pack(folder: IncidentFolder, ledger: FileLedger, signing: Signing) -> Pack:
    return build_pack(INCIDENT, folder, ledger, signing.signer)


def store_of(aws: Aws, world: AwsWorld, tmp_path: Path, bucket: str | None = None) -> EvidenceStore:
    secret = tmp_path / "aws-secret"
    secret.write_text(world.responder.secret_access_key)
    key = tmp_path / "aws-key"
    key.write_text(world.responder.access_key_id)
    return EvidenceStore(
        bucket=bucket or EVIDENCE,
        retention_days=30,
        aws=AwsAccount(
            region=aws.region,
            endpoint_url=aws.endpoint,
            access_key_id=[f"file:{key}"],
            secret_access_key=[f"file:{secret}"],
        ),
    )


def test_a_stored_pack_is_locked_for_as_long_as_the_plan_says(
    pack: Pack,
    folder: IncidentFolder,
    ledger: FileLedger,
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    tmp_path: Path,
) -> None:
    store = store_of(lab_aws, lab_aws_world, tmp_path)
    before = datetime.now(UTC)
    stored = store_pack(pack, INCIDENT, folder, ledger, store, retention_days=400)
    assert stored.stored, stored.reason
    assert stored.retain_until and stored.retain_until >= before + timedelta(days=400, seconds=-1)
    assert stored.key == f"incidents/{ID}/{pack.path.name}"
    client = store.get_client()
    body = client.get_object(Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id)["Body"].read()
    assert body == pack.path.read_bytes()
    with pytest.raises(ClientError):
        client.delete_object(Bucket=stored.bucket, Key=stored.key, VersionId=stored.version_id)
    attempt, result = list(ledger.entries())[-2:]
    assert (attempt["kind"], result["kind"], result["id"]) == ("ATTEMPT", "RESULT", attempt["id"])
    assert result["details"]["outcome"] == "ok" and "dropped" not in {
        **attempt["details"],
        **result["details"],
    }
    again = store_pack(pack, INCIDENT, folder, ledger, store, retention_days=400)
    assert again == stored and list(ledger.entries())[-1] == result, "stored once"


def test_a_store_that_is_down_or_refuses_is_said_and_made_up_for_later(
    pack: Pack,
    folder: IncidentFolder,
    ledger: FileLedger,
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    tmp_path: Path,
) -> None:
    wrong = store_of(lab_aws, lab_aws_world, tmp_path, bucket="no-such-bucket-here")
    refused = store_pack(pack, INCIDENT, folder, ledger, wrong, retention_days=1)
    assert not refused.stored and refused.reason
    assert list(ledger.entries())[-1]["details"]["outcome"] == "failed"
    assert ledger.open_attempts() == []
    good = store_of(lab_aws, lab_aws_world, tmp_path)
    assert store_pack(pack, INCIDENT, folder, ledger, good, retention_days=1).stored
