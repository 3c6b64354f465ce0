"""What the systems hold, comparable between runs: without times, log tables and ids made on the way."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from deployments.lab.aws.server import Aws

# Grow with every call, or hold the responder's own coming and going.
LOGS = {"SetupAuditTrail", "LoginHistory", "EventLogFile", "AuthSession"}
MADE_ON_THE_WAY = re.compile(r"(Date|Modstamp|Id|ById|UseCount|At)$|^(CreatedBy|DeleteToken|AppMenuItemId)")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+\S*)?")


def salesforce_state(database: Path) -> dict[str, dict[str, int]]:
    """For each object the rows and how often each is there, so that a row made twice shows."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        found = {}
        for table in sorted(set(tables) - LOGS):
            if table.startswith(("_", "sqlite")):
                continue
            rows = db.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            kept = [i for i, name in enumerate(names) if not MADE_ON_THE_WAY.search(name)]
            counted = Counter(repr([row[i] for i in kept]) for row in rows)
            found[table] = dict(sorted(counted.items()))
        sessions = db.execute(
            "SELECT u.Username, COUNT(*) FROM AuthSession s JOIN User u ON u.Id=s.UsersId"
            " WHERE u.Username NOT LIKE 'leak-response%' GROUP BY 1"
        )
        found["sessions"] = dict(sessions.fetchall())
        grants = db.execute(
            "SELECT t.AppName || ' of ' || u.Username, COUNT(*)"
            " FROM OauthToken t JOIN User u ON u.Id=t.UserId"
            " WHERE u.Username NOT LIKE 'leak-response%' GROUP BY 1"
        )
        found["grants"] = dict(grants.fetchall())
        found["OauthToken"] = {}
        frozen = db.execute(
            "SELECT u.Username, l.IsFrozen FROM UserLogin l JOIN User u ON u.Id=l.UserId WHERE l.IsFrozen"
        )
        found["frozen"] = dict(frozen.fetchall())
        held = db.execute(
            "SELECT u.Username || ' holds ' || p.Name, COUNT(*) FROM PermissionSetAssignment a"
            " JOIN User u ON u.Id=a.AssigneeId JOIN PermissionSet p ON p.Id=a.PermissionSetId GROUP BY 1"
        )
        found["assignments"] = dict(sorted(held.fetchall()))
    return found


def aws_state(aws: Aws) -> dict[str, Any]:
    """Users with keys and policies, roles with trust and policies, bucket policies; times left out."""
    iam, s3 = aws.client("iam"), aws.client("s3")
    state: dict[str, Any] = {}
    for user in iam.list_users()["Users"]:
        name = user["UserName"]
        state[name] = {
            "keys": sorted(k["Status"] for k in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]),
            "policies": {
                policy: _timeless(iam.get_user_policy(UserName=name, PolicyName=policy)["PolicyDocument"])
                for policy in iam.list_user_policies(UserName=name)["PolicyNames"]
            },
        }
    for role in iam.list_roles()["Roles"]:
        state["role " + role["RoleName"]] = [
            _timeless(role["AssumeRolePolicyDocument"]),
            *iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"],
        ]
    for bucket in s3.list_buckets()["Buckets"]:
        try:
            policy = s3.get_bucket_policy(Bucket=bucket["Name"])["Policy"]
        except s3.exceptions.ClientError:
            continue
        state["bucket " + bucket["Name"]] = _timeless(policy)
    return state


def _timeless(document: Any) -> str:
    return TIME.sub("TIME", str(document))
