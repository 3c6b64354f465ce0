"""CloudTrail's event history: every authenticated management call, found again by `LookupEvents`.

As on AWS, object-level S3 calls are data events and not in the history, events of global services are kept
in us-east-1, and an event can be found only after a delay.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .answers import AwsError
from .operations import Operation
from .principals import ACCOUNT, Principal

GLOBAL_SERVICES = {"iam", "sts", "organizations"}
HIDDEN = {"SecretString", "SecretBinary", "Plaintext", "Password", "CiphertextBlob"}
ISSUING = {"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetSessionToken"}
PAGE = 50
_KEY_ID = re.compile(rb"<AccessKeyId>(\w+)</AccessKeyId>")


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    region: str
    data: bool
    record: Mapping[str, Any]  # the CloudTrail record, as delivered

    def summary(self) -> dict[str, Any]:
        identity = self.record["userIdentity"]
        return {
            "EventId": self.record["eventID"],
            "EventName": self.record["eventName"],
            "ReadOnly": str(self.record["readOnly"]).lower(),
            "AccessKeyId": identity["accessKeyId"],
            "EventTime": self.at.timestamp(),
            "EventSource": self.record["eventSource"],
            "Username": identity["userName"],
            "Resources": [
                {"ResourceName": r["ARN"], "ResourceType": r.get("type")} for r in self.record["resources"]
            ],
            "CloudTrailEvent": json.dumps(self.record),
        }


class Trail:
    """All events of the account, oldest first."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay = timedelta(seconds=delay_s)
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def reset(self) -> None:
        with self._lock:
            self._events.clear()

    def write(
        self,
        principal: Principal,
        operation: Operation,
        *,
        region: str,
        source_ip: str,
        user_agent: str,
        refused: AwsError | None,
        answer: bytes = b"",
    ) -> None:
        now = datetime.now(UTC)
        where = "us-east-1" if operation.service in GLOBAL_SERVICES else region
        record: dict[str, Any] = {
            "eventVersion": "1.11",
            "userIdentity": _identity(principal),
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{operation.service}.amazonaws.com",
            "eventName": operation.name,
            "awsRegion": where,
            "sourceIPAddress": source_ip,
            "userAgent": user_agent,
            "requestParameters": {
                name: "HIDDEN_DUE_TO_SECURITY_REASONS" if name in HIDDEN else value
                for name, value in operation.parameters.items()
            },
            "responseElements": None if refused else _elements(operation, answer),
            "requestID": str(uuid.uuid4()),
            "eventID": str(uuid.uuid4()),
            "readOnly": operation.read_only,
            "resources": [{"ARN": arn} for _, arn in operation.grants if arn != "*"],
            "eventType": "AwsApiCall",
            "managementEvent": not operation.data_event,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Data" if operation.data_event else "Management",
        }
        if refused is not None:
            record |= {"errorCode": refused.code, "errorMessage": refused.message}
        with self._lock:
            self._events.append(Event(now, where, operation.data_event, record))

    def all(self, *, data: bool) -> list[Event]:
        """Events that have landed by now: data events or management events."""
        landed = datetime.now(UTC) - self.delay
        with self._lock:
            return [event for event in self._events if event.data == data and event.at <= landed]

    def lookup(self, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of `LookupEvents`: newest first, at most 50 a page, one attribute at most."""
        attributes = asked.get("LookupAttributes") or []
        if len(attributes) > 1:
            raise AwsError("InvalidLookupAttributesException", "You can specify only one attribute.", 400)
        limit = int(asked.get("MaxResults") or PAGE)
        if not 1 <= limit <= PAGE:
            raise AwsError("InvalidMaxResultsException", f"MaxResults must be between 1 and {PAGE}.", 400)
        start = float(asked.get("StartTime") or 0)
        end = float(asked.get("EndTime") or datetime.now(UTC).timestamp() + 1)
        if start > end:
            raise AwsError("InvalidTimeRangeException", "The start time is after the end time.", 400)
        token = asked.get("NextToken")
        found = [
            event
            for event in self.all(data=False)
            if event.region == region
            and start <= event.at.timestamp() <= end
            and all(_has(event, a["AttributeKey"], a["AttributeValue"]) for a in attributes)
        ]
        found.reverse()
        first = _position(found, token) if token else 0
        page = found[first : first + limit]
        answer: dict[str, Any] = {"Events": [event.summary() for event in page]}
        if first + limit < len(found):
            answer["NextToken"] = page[-1].record["eventID"]
        return answer


def _position(found: list[Event], token: str) -> int:
    for index, event in enumerate(found):
        if event.record["eventID"] == token:
            return index + 1
    raise AwsError("InvalidNextTokenException", "The token is not valid.", 400)


def _has(event: Event, name: str, value: str) -> bool:
    summary = event.summary()
    if name == "ResourceName":
        return any(resource["ResourceName"] == value for resource in summary["Resources"])
    if name not in ("EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId"):
        raise AwsError("InvalidLookupAttributesException", f"{name} cannot be looked up.", 400)
    return bool(summary[name] == value)


def _identity(principal: Principal) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "type": "IAMUser" if principal.kind == "User" else principal.kind,
        "principalId": principal.user_id,
        "arn": principal.arn,
        "accountId": ACCOUNT,
        "accessKeyId": principal.key_id,
        # For a role's session CloudTrail's Username is the session's name.
        "userName": principal.name.rpartition("/")[2],
    }
    if principal.issued_at is not None:
        identity["sessionContext"] = {
            "attributes": {"creationDate": principal.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        }
        if principal.role_arn is not None:
            identity["sessionContext"]["sessionIssuer"] = {"type": "Role", "arn": principal.role_arn}
    return identity


def _elements(operation: Operation, answer: bytes) -> dict[str, Any] | None:
    """What the record tells of the answer: the id of a key that was handed out, and never its secret.

    Source: CloudTrail user guide, examples of CreateAccessKey and AssumeRole; shortened.
    """
    key = _KEY_ID.search(answer)
    if key is None or operation.service not in ("iam", "sts"):
        return None
    if operation.name == "CreateAccessKey":
        user = operation.parameters.get("UserName") or operation.parameters.get("userName")
        return {"accessKey": {"accessKeyId": key[1].decode(), "status": "Active", "userName": user}}
    if operation.name in ISSUING:
        return {"credentials": {"accessKeyId": key[1].decode()}}
    return None
