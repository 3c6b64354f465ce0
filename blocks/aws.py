"""The AWS account block: clients for the responder's key, and for a leaked key that must prove to be dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError
from pydantic import Field

from blocks.base import SystemBlock, user_agent
from blocks.check import Check
from blocks.errors import LeakResponseError, Refused, Unreachable
from blocks.secrets import Reference, resolve
from blocks.vault import VaultServer

# Codes that say "not now"; everything else that AWS answers is a no that repeating does not change.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
TRANSIENT = frozenset(
    {
        "BandwidthLimitExceeded", "EC2ThrottledException", "InternalError", "InternalFailure",
        "LimitExceededException", "PriorRequestNotComplete", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "RequestTimeout",
        "RequestTimeoutException", "ServiceFailure", "ServiceUnavailable", "SlowDown", "ThrottledException",
        "Throttling", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip


class AwsRefused(Refused):
    """AWS answered and said no. `code` is its own error code, for example AccessDenied or NoSuchEntity."""

    def __init__(self, problem: str, fix: str, code: str) -> None:
        super().__init__(problem, fix)
        self.code = code


@contextmanager
def aws_errors(what: str, fix: str = "") -> Iterator[None]:
    """Turn botocore's errors into ours; their texts name accounts and resources and are dropped."""
    try:
        yield
    except LeakResponseError:
        raise
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in TRANSIENT or status >= 500:
            raise Unreachable(f"AWS cannot serve now: {code} ({what}).", "Try again shortly.") from None
        raise AwsRefused(f"AWS refused: {code} ({what}).", fix or _fix(code, what), code) from None
    except (ConnectionError, HTTPClientError) as error:
        raise Unreachable(
            f"AWS did not answer ({what}): {type(error).__name__}.", "Check endpoint, region and the network."
        ) from None
    except ResponseParserError:
        raise Unreachable(
            f"AWS's answer could not be read ({what}).", "Try again; is the endpoint AWS's?"
        ) from None
    except BotoCoreError as error:
        raise Refused(
            f"AWS call {what} could not be made: {type(error).__name__}.", "Check the block."
        ) from None


def _fix(code: str, what: str) -> str:
    if code in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}:
        return f"Allow the responder's IAM user or role the action behind: {what}."
    if code in {
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
    }:
        return "Put a valid, active access key of the responder where the block looks for it."
    if code == "ExpiredToken":
        return "Issue new temporary credentials."
    return "Look the code up in the AWS documentation of this action."


class AwsAccount(SystemBlock):
    """An AWS account, reached with an access key of the responder's own.

    Holds where the key is kept, never the key. The responder needs the IAM actions that `check` tries.
    """

    _block_type_name: ClassVar[str] = "Leak Response AWS Account"
    _block_type_slug: ClassVar[str] = "leak-response-aws-account"

    region: str = Field(default="us-east-1", description="Home region", min_length=4)
    regions: list[str] = Field(
        default_factory=list, description="Further regions to look in, for example for CloudTrail events"
    )
    endpoint_url: str | None = Field(default=None, description="Other endpoint than AWS's own")
    access_key_id: list[Reference] = Field(
        description="Where the responder's access key id is kept, first that answers wins", min_length=1
    )
    secret_access_key: list[Reference] = Field(
        description="Where the responder's secret access key is kept, first that answers wins", min_length=1
    )
    timeout_s: float = Field(default=20, gt=0, le=300, description="Seconds to wait for an answer")
    vault: VaultServer | None = Field(default=None, description="Where vault: references are read")

    def get_client(self) -> Any:
        """The boto3 session with the responder's key."""
        return self._live.get("session", self._session)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client such as `client("iam")`; made once per service and region, shared by threads."""
        # One lock around both: boto3 sessions are not thread-safe, the clients they make are.
        return self._live.get(
            (service, region), lambda: self._make(self.get_client(), service, region, attempts=5)
        )

    def client_with(
        self,
        service: str,
        *,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        region: str | None = None,
    ) -> Any:
        """A client with another's key: for proving that it is refused. Never cached, one attempt only.

        Probe with an action that policies govern (for example s3:GetObject): sts:GetCallerIdentity is
        answered to a key whatever its policies say.
        """
        session = boto3.Session(
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            aws_session_token=session_token,
            region_name=self.region,
        )
        return self._make(session, service, region, attempts=1)

    def all_regions(self) -> tuple[str, ...]:
        """The home region and the further ones, each once."""
        return tuple(dict.fromkeys([self.region, *self.regions]))

    def check(self) -> list[Check]:
        """Reachable, key valid, actions allowed (changing ones are tried on names that do not exist)."""
        from blocks.aws_check import check_aws

        return check_aws(self)

    def _session(self) -> Any:
        return boto3.Session(
            aws_access_key_id=resolve(self.access_key_id, self.vault),
            aws_secret_access_key=resolve(self.secret_access_key, self.vault),
            region_name=self.region,
        )

    def _make(self, session: Any, service: str, region: str | None, attempts: int) -> Any:
        return session.client(
            service,
            region_name=region or self.region,
            endpoint_url=self.endpoint_url,
            config=Config(
                connect_timeout=min(5, self.timeout_s),
                read_timeout=self.timeout_s,
                max_pool_connections=32,
                retries={"mode": "standard", "total_max_attempts": attempts},
                user_agent_extra=user_agent(),
                s3={"addressing_style": "path"} if self.endpoint_url else None,
            ),
        )
