"""Contain, then undo: the systems are as they were before, column by column, but for what is listed here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from blocks.aws import AwsAccount
from blocks.errors import BadInput
from blocks.systems import Systems
from deployments.lab.aws.server import Aws
from deployments.lab.aws.world import CI_ROLE, STOLEN_FROM, AwsWorld
from deployments.lab.twin import Twin
from tasks.contain.engine import contain
from tasks.contain.undo import reopen
from tasks.evidence.ledger import FileLedger
from tasks.incident import AccessStatus, Incident

from .conftest import APP, APP_PLAN, INTEGRATION, attempts, responder
from .test_aws import account  # noqa: F401 - a fixture
from .test_salesforce import rows
from .test_salesforce_rights import make_group, own_profile, user_id

Make = Callable[..., Incident]
Table = list[dict[str, Any]]

# What must differ: records of what was done; tokens and sessions, which cannot come back; counters.
NOT_COMPARED = {"SetupAuditTrail", "EventLogFile", "LoginHistory", "OauthToken", "AuthSession", "_counter"}
# Who changed a record last, and when.
AUDIT = {"LastModifiedDate", "LastModifiedById", "SystemModstamp", "LastLoginDate"}
# An assignment is given back by inserting it anew: it has another id.
INSERTED_ANEW = {"PermissionSetAssignment", "SetupEntityAccess"}


def org_state(twin: Twin) -> dict[str, Table]:
    """Every table of the org's store, hidden columns included."""
    state: dict[str, Table] = {}
    with sqlite3.connect(f"file:{twin.folder / 'org.db'}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(set(tables) - NOT_COMPARED):
            left_out = AUDIT | ({"Id"} if table in INSERTED_ANEW else set())
            found = [dict(row) for row in db.execute(f'SELECT * FROM "{table}"')]
            kept = [{k: v for k, v in row.items() if k not in left_out} for row in found]
            state[table] = sorted(kept, key=repr)
    return state


def differences(before: dict[str, Table], after: dict[str, Table]) -> dict[str, Table]:
    """Tables that differ, each with the rows that only one side has."""
    told = {}
    for table in before.keys() | after.keys():
        old, new = before.get(table, []), after.get(table, [])
        if old != new:
            told[table] = [row for row in old if row not in new] + [row for row in new if row not in old]
    return told


def test_after_undo_every_table_of_the_org_is_as_it_was(
    twin: Twin, systems_of: Callable[..., Systems], ledger: FileLedger, incident: Make
) -> None:
    systems = systems_of(salesforce=responder(twin), plan=APP_PLAN + "  deactivate_users: true\n")
    own_profile(twin, INTEGRATION)
    make_group(twin, INTEGRATION)
    (chat,) = rows(twin, "SELECT Id FROM PermissionSet WHERE Name = 'Support_Chat_Files'")
    policy = {"DeveloperName": "LeakResponse_Block", "MasterLabel": "Block", "State": "Disabled"}
    twin.control("insert", {"object": "TransactionSecurityPolicy", "record": policy})
    twin.control(
        "plant",
        {
            "object": "PermissionSetAssignment",
            "match": {"AssigneeId": user_id(twin, INTEGRATION), "PermissionSetId": chat["Id"]},
            "set": {"ExpirationDate": "2027-01-31T00:00:00.000+0000"},
        },
    )
    before = org_state(twin)
    suspect = incident(f"connected-app={APP}", f"salesforce-user={INTEGRATION}")

    found = contain(suspect, systems, ledger)
    assert {c.status for c in found} == {AccessStatus.CLOSED, AccessStatus.MANUAL}, found
    touched = set(differences(before, org_state(twin)))
    assert touched >= {
        "User",
        "UserLogin",
        "Profile",
        "PermissionSet",
        "PermissionSetAssignment",
        "SetupEntityAccess",
        "MutingPermissionSet",
        "TransactionSecurityPolicy",
    }

    undone = reopen(suspect, systems, ledger)

    assert differences(before, org_state(twin)) == {}
    stays_shut = {u.access.kind for u in undone if not u.restored}
    assert stays_shut <= {"oauth-grants", "user-oauth-grants", "sessions", "app-sessions", "bulk-job"}
    assert not any(u.failed for u in undone)
    assert ledger.open_attempts() == []


def test_only_the_named_access_is_reopened_and_an_unknown_one_is_an_error(
    twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    suspect = incident(f"salesforce-user={INTEGRATION}")
    contain(suspect, systems, ledger)
    login = f"salesforce/login/{user_id(twin, INTEGRATION)}"

    undone = reopen(suspect, systems, ledger, keys=[login])

    assert [(u.access.key, u.restored) for u in undone] == [(login, True)]
    assert rows(twin, "SELECT Id FROM UserLogin WHERE IsFrozen = true") == []
    done = attempts(ledger)
    with pytest.raises(BadInput, match="did not close salesforce/login/nobody"):
        reopen(suspect, systems, ledger, keys=["salesforce/login/nobody"])
    assert attempts(ledger) == done


def test_what_fails_is_told_and_keeps_nothing_else_from_coming_back(
    twin: Twin, systems: Systems, ledger: FileLedger, incident: Make
) -> None:
    """A permission set that somebody has deleted meanwhile cannot be assigned again."""
    suspect = incident(f"salesforce-user={INTEGRATION}")
    contain(suspect, systems, ledger)
    (lost,) = rows(twin, "SELECT Id FROM PermissionSet WHERE Name = 'Support_Chat_Files'")
    with sqlite3.connect(twin.folder / "org.db", timeout=10) as db:
        db.execute("DELETE FROM PermissionSet WHERE Id = ?", (lost["Id"],))

    undone = reopen(suspect, systems, ledger)

    failed = [u for u in undone if u.failed]
    assert [u.access.before["given"] for u in failed] == [lost["Id"]]
    assert "INVALID_CROSS_REFERENCE_KEY" in failed[0].detail
    assert sum(u.restored for u in undone) >= 2
    assert ledger.open_attempts() == []


def aws_state(aws: Aws) -> dict[str, Any]:
    """What containment can change in the account, as its administrator sees it."""
    iam, s3 = aws.client("iam"), aws.client("s3")
    state: dict[str, Any] = {}
    for user in iam.list_users()["Users"]:
        name = user["UserName"]
        keys = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        policies = iam.list_user_policies(UserName=name)["PolicyNames"]
        state[f"user {name}"] = (
            {key["AccessKeyId"]: key["Status"] for key in keys},
            {p: iam.get_user_policy(UserName=name, PolicyName=p)["PolicyDocument"] for p in policies},
        )
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
        state[f"role {name}"] = (
            role["AssumeRolePolicyDocument"],
            {p: iam.get_role_policy(RoleName=name, PolicyName=p)["PolicyDocument"] for p in policies},
        )
    for bucket in s3.list_buckets()["Buckets"]:
        try:
            policy = s3.get_bucket_policy(Bucket=bucket["Name"])["Policy"]
        except ClientError:
            policy = None
        state[f"bucket {bucket['Name']}"] = policy
    return state


def test_after_undo_the_account_is_as_it_was(
    account: AwsAccount,  # noqa: F811
    systems_of: Callable[..., Systems],
    lab_aws: Aws,
    lab_aws_world: AwsWorld,
    ledger: FileLedger,
    incident: Make,
) -> None:
    systems = systems_of(aws=account)
    before = aws_state(lab_aws)
    suspect = incident(f"aws-user={STOLEN_FROM}", f"aws-role={CI_ROLE}")
    contain(suspect, systems, ledger)
    assert aws_state(lab_aws) != before

    once = reopen(suspect, systems, ledger)
    assert not any(u.restored for u in once if u.access.kind == "access-key")
    assert aws_state(lab_aws) != before
    twice = reopen(suspect, systems, ledger, even_leaked=True)

    assert not any(u.failed for u in twice), twice
    assert aws_state(lab_aws) == before
