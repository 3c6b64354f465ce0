"""A call and a reply as the twin's handlers see them, and the errors in Salesforce's own shapes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

if TYPE_CHECKING:
    from deployments.lab.salesforce.org import Org
    from deployments.lab.salesforce.sessions import Session

JSON = "application/json;charset=UTF-8"
XML = "text/xml;charset=UTF-8"
CSV = "text/csv"


class ApiError(Exception):
    """An error the caller gets as `[{message, errorCode, fields?}]` with this status."""

    def __init__(self, status: int, code: str, message: str, fields: Iterable[str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = None if fields is None else list(fields)

    def body(self) -> dict[str, Any]:
        """As one element of the error array."""
        made: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            made["fields"] = self.fields
        return made

    def result(self) -> dict[str, Any]:
        """As one element of `errors` in a collections result."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    return ApiError(404, "NOT_FOUND", message)


def invalid_session() -> ApiError:
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")


@dataclass(slots=True)
class Reply:
    """What goes back: status, headers and a body that is bytes already."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        return cls(status, orjson.dumps(value), JSON, {k.replace("_", "-"): v for k, v in headers.items()})

    @classmethod
    def error(cls, error: ApiError) -> Reply:
        return cls.json([error.body()], error.status)

    @classmethod
    def xml(cls, text: str, status: int = 200) -> Reply:
        return cls(status, text.encode(), XML)

    @classmethod
    def nothing(cls) -> Reply:
        return cls(204, b"", "")


@dataclass(slots=True)
class Notes:
    """What a handler learned that the event logs must say about the call."""

    entity: str = ""
    rows: int = 0
    fields: int = 0
    error: str = ""


@dataclass(slots=True)
class Call:
    """One request, or one part of a composite request (`nested`: event logs record only its parent)."""

    org: Org
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    ip: str
    request_id: str
    version: str = ""
    maybe_session: Session | None = None
    nested: bool = False
    notes: Notes = field(default_factory=Notes)

    @property
    def session(self) -> Session:
        """The caller's session; 401 without one."""
        if self.maybe_session is None:
            raise invalid_session()
        return self.maybe_session

    @property
    def agent(self) -> str:
        return self.headers.get("user-agent", "")

    @property
    def root(self) -> str:
        """The path prefix of this API version."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The body as JSON; 400 JSON_PARSER_ERROR when it is none."""
        if not self.body:
            return {}
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise ApiError(400, "JSON_PARSER_ERROR", f"Unexpected input: {error}") from None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of object from the body")
        return value

    def form(self) -> dict[str, str]:
        """The body as a form, with the query string underneath."""
        made = dict(self.query)
        made.update(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return made

    def part(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Call:
        """A nested call of the same caller."""
        return Call(
            self.org, method, path, query, self.headers, body, self.ip, self.request_id,
            self.version, self.maybe_session, nested=True,
        )  # fmt: skip


def escape(text: object) -> str:
    """Text for XML."""
    return html.escape(str(text), quote=False)
