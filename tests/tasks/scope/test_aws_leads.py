"""What a stolen AWS key made and read is found in the event history of the lab's account."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from blocks.aws import AwsAccount
from blocks.vault import VaultServer
from deployments.lab.aws.principals import ACCOUNT
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import CI_ROLE, STOLEN_FROM, SUPPORT_SECRET, AwsWorld
from tasks.incident import Incident, Suspect, SuspectKind, Window
from tasks.scope.aws_leads import aws_leads

IN_SECRET = "AKIAQWERTYUIOPASDFGH"
VALUE = "abcdefghij0123456789ABCDEFGHIJ/+abcdefgh"
MORE = ("iam:CreateUser", "iam:CreateAccessKey", "sts:AssumeRole", "secretsmanager:GetSecretValue")


@pytest.fixture
def nowhere() -> VaultServer:
    """No Vault token is found here, so that none has to be looked up."""
    return VaultServer(addr="http://127.0.0.1:9", role_id="x", secret_id=["env:NONE"])


def armed(server: Aws) -> Any:
    """The administrator has been careless: the stolen key's user may do more, and the role trusts it."""
    iam = server.client("iam")
    allow = [{"Effect": "Allow", "Action": list(MORE), "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName=STOLEN_FROM, PolicyName="more", PolicyDocument=document)
    who = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{STOLEN_FROM}"}
    trust = [{"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    iam.update_assume_role_policy(RoleName=CI_ROLE, PolicyDocument=document)


def test_keys_users_and_sessions_that_a_key_made_and_what_it_read_are_found(
    lab_aws: Aws, lab_aws_world: AwsWorld, lab_aws_block: AwsAccount, nowhere: VaultServer
) -> None:
    armed(lab_aws)
    text = json.dumps({"aws_access_key_id": IN_SECRET, "aws_secret_access_key": VALUE})
    lab_aws.client("secretsmanager").put_secret_value(SecretId=SUPPORT_SECRET, SecretString=text)
    began = datetime.now(UTC) - timedelta(seconds=1)
    key = (lab_aws_world.stolen.access_key_id, lab_aws_world.stolen.secret_access_key)
    iam, sts = lab_aws.client("iam", *key), lab_aws.client("sts", *key)
    iam.create_user(UserName="helpdesk2")
    second = iam.create_access_key(UserName="helpdesk2")["AccessKey"]["AccessKeyId"]
    role = f"arn:aws:iam::{ACCOUNT}:role/{CI_ROLE}"
    session = sts.assume_role(RoleArn=role, RoleSessionName="build")["Credentials"]["AccessKeyId"]
    lab_aws.client("secretsmanager", *key).get_secret_value(SecretId=SUPPORT_SECRET)

    time.sleep(2.1)  # and then its replacement, which is not leaked
    fresh = json.dumps({"aws_access_key_id": IN_SECRET[:-1] + "Z", "aws_secret_access_key": VALUE})
    lab_aws.client("secretsmanager").put_secret_value(SecretId=SUPPORT_SECRET, SecretString=fresh)

    now = datetime.now(UTC)
    suspects = (Suspect(SuspectKind.AWS_ACCESS_KEY, key[0]),)
    incident = Incident("leads-1", "a key leaked", suspects, Window(began), now, now, "lab")
    leads = aws_leads(incident, lab_aws_block, nowhere, now)

    assert {(one.kind, one.identifier) for one in leads.made} == {
        (SuspectKind.AWS_USER, "helpdesk2"),
        (SuspectKind.AWS_ACCESS_KEY, second),
        (SuspectKind.AWS_ACCESS_KEY, session),
    }
    assert all(one.found_in and key[0] in one.found_in for one in leads.made)
    assert not leads.unread, leads.unread
    (found,) = leads.credentials
    assert (found.identifier, found.secret) == (IN_SECRET, VALUE)
    assert VALUE not in repr(leads) and not leads.unread
    again = aws_leads(incident.with_suspects((*leads.made, found.suspect)), lab_aws_block, nowhere, now)
    assert (again.made, again.credentials) == ((), ())
