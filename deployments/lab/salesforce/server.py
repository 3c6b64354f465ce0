"""The twin as an ASGI application: reads a request, checks session and rights, runs the handler, logs it.

Handlers are plain functions that may block; they run in threads, so that a heavy query does not hold up the
small calls. Nothing but uvicorn stands underneath: at several hundred calls a second each layer shows.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import secrets
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from deployments.lab.salesforce import bulk_v1, control, oauth
from deployments.lab.salesforce.faults import Fault, Kind, halve, instead, spoil, with_locked
from deployments.lab.salesforce.org import VERSIONS, Org
from deployments.lab.salesforce.routes import Route, find, find_plain
from deployments.lab.salesforce.sessions import Session
from deployments.lab.salesforce.wire import ApiError, Call, Reply, invalid_session, not_found

log = logging.getLogger(__name__)
THREADS = 12
GZIP_FROM, GZIP_TO = 1400, 4_000_000  # bytes; larger bodies cost more to squeeze than loopback does

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Server:
    """The application; one for each org."""

    def __init__(self, org: Org, admin_token: str) -> None:
        self.org = org
        self._admin_token = admin_token
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="handler")
        self._ticker: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                await self._http(scope, receive, send)
            except Exception:
                log.exception("%s %s failed", scope["method"], scope["path"])
                raise

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._ticker = asyncio.create_task(self._tick())
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._ticker:
                    self._ticker.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            try:
                await loop.run_in_executor(self._pool, self.org.tick)
            except Exception:
                log.exception("background work failed")

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        if headers.get("content-encoding") == "gzip" and body:
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                await _send(
                    send, Reply.error(ApiError(400, "JSON_PARSER_ERROR", "Body is not gzip")), headers
                )
                return
        call = self._call(scope, headers, body)
        if call.path.startswith("/__lab__/"):
            await self._control(call, send)
            return
        await self._serve(call, send)

    def _call(self, scope: dict[str, Any], headers: dict[str, str], body: bytes) -> Call:
        path: str = scope["path"]
        raw = scope["query_string"].decode("latin-1")
        query = dict(parse_qsl(raw, keep_blank_values=True)) if raw else {}
        client = scope.get("client")
        return Call(
            self.org,
            scope["method"],
            path.rstrip("/") or "/",
            query,
            headers,
            body,
            # The lab is all on loopback; its attackers say by this header where they would come from.
            headers.get("x-lab-client-ip") or (client[0] if client else ""),
            headers.get("x-sfdc-request-id") or secrets.token_urlsafe(16)[:22],
        )

    # --- one call of the org's API ---------------------------------------------------------------

    async def _serve(self, call: Call, send: Send) -> None:
        org = self.org
        token = _token(call)
        call.maybe_session = org.sessions.find(token) if token else None
        credential = org.sessions.name_of(token) if token else oauth.credential_of(call)
        at = org.clock.now()
        if org.faults.latency_s:
            await asyncio.sleep(org.faults.latency_s)
        fault = org.faults.pick(call.method, call.path, credential, call.query.get("q", ""))
        if fault is not None:
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
            if fault.kind is Kind.RESET_BEFORE:
                org.request(at, credential, call.method, call.path, 0)
                _reset(send)
                return
            if fault.kind is Kind.EXPIRED_SESSION and call.maybe_session is not None:
                org.sessions.end(call.maybe_session)
        reply = instead(fault) if fault else None
        if fault is not None and fault.kind is Kind.PARTIAL:
            rest = halve(call)
            reply = with_locked(await self._answer(call) if call.query["ids"] else None, rest)
        if reply is None:
            reply = await self._answer(call)
        org.request(at, credential, call.method, call.path, reply.status)
        if call.maybe_session is not None and call.path.startswith("/services/data/"):
            reply.headers["Sforce-Limit-Info"] = org.limits.header
        await self._finish(call, send, reply, fault)

    async def _finish(self, call: Call, send: Send, reply: Reply, fault: Fault | None) -> None:
        if fault is not None and fault.kind is Kind.RESET_AFTER:
            _reset(send)
            return
        if fault is not None and fault.kind is Kind.MALFORMED:
            reply = spoil(reply)
        await _send(send, reply, call.headers)

    async def _answer(self, call: Call) -> Reply:
        route: Route | None = None
        try:
            route = self._route(call)
            if route.light:
                return run(route, call)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, run, route, call)
        except ApiError as error:
            # Refused before a handler ran: still an event when it is known who called.
            reply = refusal(call, error)
            note_call(call, reply, route.family if route else "REST", error.message)
            return reply

    def _route(self, call: Call) -> Route:
        if not call.path.startswith("/services/data/v"):
            plain = find_plain(call)
            if plain is None:
                raise not_found()
            if plain.family == "Bulk":
                admit(call)
            return plain
        version, _, rest = call.path[len("/services/data/v") :].partition("/")
        call.version = version
        admit(call)
        if version not in VERSIONS:
            raise not_found()
        return find(call, rest)

    # --- the lab's own control -------------------------------------------------------------------

    async def _control(self, call: Call, send: Send) -> None:
        given = call.headers.get("authorization", "").removeprefix("Bearer ")
        if call.method == "GET":
            given = call.query.get("key", given)  # so that an address alone can be handed out for reading
        if not secrets.compare_digest(given.encode(), self._admin_token.encode()):
            await _send(send, Reply.json({"error": "the lab's admin token is needed"}, 401), call.headers)
            return
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._pool, control.handle, call)
        except (control.Wrong, ApiError) as error:
            await _send(send, Reply.json({"error": str(error)}, 400), call.headers)
            return
        if isinstance(made, Reply):
            await _send(send, made, call.headers)
        else:
            await _stream(send, made, loop, self._pool)


def admit(call: Call) -> None:
    """Refuse a caller with no living session, no right to the API, or no calls left."""
    org = call.org
    session = call.maybe_session
    if session is None:
        raise invalid_session()
    if org.is_inactive(session.user_id) or (
        org.switches.frozen_ends_sessions and org.is_frozen(session.user_id)
    ):
        org.sessions.end(session)
        raise invalid_session()
    if not org.permissions.of(session.user_id).has("PermissionsApiEnabled"):
        raise ApiError(403, "API_CURRENTLY_DISABLED", "API is disabled for this User")
    if org.limits.exhausted:
        raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    org.limits.used_api += 1


def run(route: Route, call: Call) -> Reply:
    """Run a handler and write what the event logs say about it."""
    error = ""
    try:
        reply = route.handler(call)
    except ApiError as problem:
        error = problem.message
        reply = refusal(call, problem)
    except Exception:
        log.exception("the handler of %s %s failed", call.method, call.path)
        failure = ApiError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
        error = failure.message
        reply = Reply.error(failure)
    note_call(call, reply, route.family, error)
    return reply


def refusal(call: Call, error: ApiError) -> Reply:
    """The error in the shape the endpoint's clients read."""
    if call.path.startswith("/services/async/"):
        return bulk_v1.error_reply(call, error)
    return Reply.error(error)


def note_call(call: Call, reply: Reply, family: str, error: str) -> None:
    """RestApi and ApiTotalUsage rows of one call; none when nobody is logged in."""
    session: Session | None = call.maybe_session
    if session is None or not family:
        return
    org = call.org
    resource = call.path.removeprefix("/services/data")
    common = org.caller(call) | {
        "STATUS_CODE": reply.status,
        "ENTITY_NAME": call.notes.entity,
        "API_VERSION": call.version,
    }
    if family == "REST":
        org.events.add(
            "RestApi",
            common
            | {
                "URI": call.path,
                "METHOD": call.method,
                "API_TYPE": "REST",
                "REQUEST_STATUS": "S" if reply.status < 400 else "F",
                "MEDIA_TYPE": reply.content_type,
                "NUMBER_FIELDS": call.notes.fields,
                "ROWS_PROCESSED": call.notes.rows,
                "REQUEST_SIZE": len(call.body),
                "RESPONSE_SIZE": len(reply.body),
                "EXCEPTION_MESSAGE": error,
            },
        )
    org.events.add(
        "ApiTotalUsage",
        common
        | {
            "API_FAMILY": family,
            "API_RESOURCE": resource,
            "HTTP_METHOD": call.method,
            "USER_NAME": session.username,
            "COUNTS_AGAINST_API_LIMIT": "1",
        },
    )


def _token(call: Call) -> str:
    header = call.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() in ("bearer", "oauth"):
        return token.strip()
    return call.headers.get("x-sfdc-session") or call.query.get("oauth_token", "")


async def _read(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, reply: Reply, asked: Mapping[str, str]) -> None:
    body = reply.body
    headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in reply.headers.items()]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
    if GZIP_FROM < len(body) < GZIP_TO and "gzip" in asked.get("accept-encoding", ""):
        body = gzip.compress(body, 1)
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"Accept-Encoding"))
    if reply.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(
    send: Send, chunks: Iterator[bytes], loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor
) -> None:
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while (chunk := await loop.run_in_executor(pool, next, chunks, None)) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _reset(send: Send) -> None:
    """Reset the connection under uvicorn's feet: the client sees ECONNRESET, no reply."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("this HTTP server gives no way to its connection")
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
