"""OAuth 2.0 endpoints: token, revoke, introspect, userinfo and the identity URL.

Error words follow Salesforce's OAuth error codes; a refusal is a 400 `{error, error_description}`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import unquote

import jwt

from deployments.lab.salesforce.apps import App, secret_matches
from deployments.lab.salesforce.clock import iso
from deployments.lab.salesforce.sessions import Grant, Session
from deployments.lab.salesforce.wire import Call, Reply

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_MAX_AGE_S = 300
MILLISECONDS_FROM = 100_000_000_000
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


class OAuthError(Exception):
    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def reply(self) -> Reply:
        made = Reply.json({"error": self.error, "error_description": self.description}, self.status)
        made.headers["Cache-Control"] = "no-cache, no-store"
        return made


def token(call: Call) -> Reply:
    """POST /services/oauth2/token."""
    form = call.form()
    grants = {
        "refresh_token": _refresh,
        "client_credentials": _client_credentials,
        JWT_GRANT: _jwt_bearer,
        "password": _password,
    }
    kind = form.get("grant_type", "")
    if kind not in grants:
        return OAuthError("unsupported_grant_type", "grant type not supported").reply()
    try:
        session, refresh = grants[kind](call, form)
    except OAuthError as error:
        return error.reply()
    return _token_reply(call, session, refresh)


def _token_reply(call: Call, session: Session, refresh_token: str | None) -> Reply:
    identity = f"{call.org.url}/id/{call.org.org_id}/{session.user_id}"
    issued_at = str(int(session.created.timestamp() * 1000))
    secret = session.app.consumer_secret if session.app else ""
    signed = hmac.new(secret.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
    made = {
        "access_token": session.token,
        "signature": base64.b64encode(signed).decode(),
        "scope": session.scopes,
        "instance_url": call.org.url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "api_instance_url": call.org.url,
    }
    if refresh_token:
        made["refresh_token"] = refresh_token
    reply = Reply.json(made)
    reply.headers["Cache-Control"] = "no-cache, no-store"
    return reply


def _client(call: Call, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from the Basic header or the form."""
    header = call.headers.get("authorization", "")
    if header[:6].lower() == "basic ":
        try:
            text = base64.b64decode(header[6:]).decode()
        except ValueError:
            raise OAuthError("invalid_client", "invalid client credentials", 401) from None
        client_id, _, secret = text.partition(":")
        return unquote(client_id), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _app(call: Call, form: dict[str, str], flow: str, *, secret_needed: bool) -> App:
    client_id, secret = _client(call, form)
    app = call.org.apps.by_key(client_id)
    if app is None:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if app.blocked:
        raise OAuthError("OAUTH_APP_BLOCKED", "this app is blocked by admin")
    if (secret_needed or secret) and not secret_matches(app, secret):
        raise OAuthError("invalid_client", "invalid client credentials")
    if flow not in app.flows:
        raise OAuthError("unsupported_grant_type", "grant type not enabled for this app")
    return app


def _user(call: Call, user_id: str, app: App, kind: str) -> dict[str, Any]:
    """The user, if it may log in now: active, not frozen, and the app approved for it."""
    org = call.org
    user = org.store.get("User", user_id)
    if user is None:
        raise OAuthError("invalid_grant", "user does not exist")
    if not user["IsActive"]:
        _failed(call, user, app, kind, "Failed: User is Inactive")
        raise OAuthError("invalid_grant", "inactive user")
    if org.is_frozen(user_id):
        _failed(call, user, app, kind, "User is Frozen")
        raise OAuthError("invalid_grant", "user is frozen")
    if not org.apps.approved(app, org.permissions.of(user_id)):
        _failed(call, user, app, kind, "Failed: Not approved for access")
        raise OAuthError("invalid_app_access", "user is not admin approved to access this app")
    return user


def _failed(call: Call, user: dict[str, Any], app: App, kind: str, status: str) -> None:
    org = call.org
    org.sessions.note_failed_login(
        org.sessions.login_row(user["Id"], call.ip, status, app=app, kind=kind, agent=call.agent)
    )
    org.note_login(
        call, user["Id"], user["Username"], None, app, kind, "LOGIN_ERROR_" + status.split()[-1].upper()
    )


def _log_in(call: Call, user: dict[str, Any], app: App, grant: Grant) -> Session:
    org = call.org
    try:
        session = org.sessions.open(
            user["Id"],
            user["Username"],
            call.ip,
            app=app,
            grant=grant,
            agent=call.agent,
            scopes=app.scopes,
        )
    except LookupError:
        raise OAuthError("invalid_grant", "expired access/refresh token") from None
    org.note_login(call, user["Id"], user["Username"], session, app, grant.kind, "LOGIN_NO_ERROR")
    return session


def _refresh(call: Call, form: dict[str, str]) -> tuple[Session, str | None]:
    app = _app(call, form, "refresh", secret_needed=False)
    # A confidential app must show its secret; an app without one (a public client) need not.
    if app.consumer_secret and not secret_matches(app, _client(call, form)[1]):
        raise OAuthError("invalid_client", "invalid client credentials")
    grant = call.org.sessions.by_refresh_token(form.get("refresh_token", ""))
    if grant is None or grant.app.id != app.id:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    user = _user(call, grant.user_id, app, "refresh")
    return _log_in(call, user, app, grant), None


def _client_credentials(call: Call, form: dict[str, str]) -> tuple[Session, str | None]:
    app = _app(call, form, "client_credentials", secret_needed=True)
    if not app.run_as:
        raise OAuthError("invalid_grant", "no client credentials user enabled")
    user = _user(call, app.run_as, app, "client_credentials")
    return _log_in(call, user, app, call.org.sessions.grant(app, user["Id"], "client_credentials")), None


def _jwt_bearer(call: Call, form: dict[str, str]) -> tuple[Session, str | None]:
    assertion = form.get("assertion", "")
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
        algorithm = jwt.get_unverified_header(assertion).get("alg")
    except jwt.PyJWTError:
        raise OAuthError("invalid_grant", "invalid assertion") from None
    app = call.org.apps.by_key(str(claims.get("iss", "")))
    if app is None or (form.get("client_id") and form["client_id"] != app.consumer_key):
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if app.blocked:
        raise OAuthError("OAUTH_APP_BLOCKED", "this app is blocked by admin")
    if "jwt" not in app.flows or not app.certificate:
        raise OAuthError("invalid_grant", "invalid assertion")
    _check_claims(call, claims)
    try:
        if algorithm != "RS256":
            raise jwt.InvalidAlgorithmError(str(algorithm))
        jwt.decode(
            assertion, app.certificate, algorithms=["RS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_sub": False, "verify_iat": False},
        )  # fmt: skip
    except jwt.PyJWTError:
        raise OAuthError("invalid_grant", "invalid assertion") from None
    found = call.org.user_by_name(str(claims.get("sub", "")))
    if found is None:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    # The JWT flow shows no approval page: an administrator or the user must have approved the app before.
    by_admin = app.admin_approved_only and call.org.apps.approved(app, call.org.permissions.of(found))
    by_user = not app.admin_approved_only and call.org.sessions.has_grant(app, found)
    if not (by_admin or by_user):
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    user = _user(call, found, app, "jwt")
    return _log_in(call, user, app, call.org.sessions.grant(app, user["Id"], "jwt")), None


def _check_claims(call: Call, claims: dict[str, Any]) -> None:
    audience = claims.get("aud")
    given = audience if isinstance(audience, list) else [audience]
    accepted = {*AUDIENCES, call.org.url, f"{call.org.url}/services/oauth2/token"}
    if not any(str(one).rstrip("/") in accepted for one in given):
        raise OAuthError("invalid_grant", "audience is invalid")
    try:
        expires = float(claims.get("exp") or 0)  # some clients write the number as text
    except (TypeError, ValueError):
        expires = 0.0
    if expires > MILLISECONDS_FROM:
        return  # the sf command line writes milliseconds, and orgs let it pass
    # Real time, not the twin's clock: the client signed with its own.
    if not time.time() < expires <= time.time() + JWT_MAX_AGE_S + 60:
        raise OAuthError("invalid_grant", "expired authorization code")


def _password(call: Call, form: dict[str, str]) -> tuple[Session, str | None]:
    app = _app(call, form, "password", secret_needed=True)
    org = call.org
    user_id = org.user_by_name(form.get("username", ""))
    if not org.switches.password_flow or not user_id:
        raise OAuthError("invalid_grant", "authentication failure")
    if not org.password_matches(user_id, form.get("password", "")):
        raise OAuthError("invalid_grant", "authentication failure")
    user = _user(call, user_id, app, "password")
    return _log_in(call, user, app, org.sessions.grant(app, user["Id"], "password")), None


def revoke(call: Call) -> Reply:
    """GET or POST /services/oauth2/revoke; needs no login, the token itself is the proof."""
    form = call.form()
    hint = form.get("token_type_hint", "")
    if hint and hint not in ("access_token", "refresh_token"):
        return OAuthError("unsupported_token_type", "this token type is not supported").reply()
    ended = call.org.sessions.revoke(form.get("token", ""))
    if ended is None:
        return OAuthError("invalid_token", "invalid token").reply()
    for session in ended:
        call.org.note_logout(session, call.ip)
    return Reply(200, b"", "text/html;charset=UTF-8")


def introspect(call: Call) -> Reply:
    """POST /services/oauth2/introspect."""
    form = call.form()
    client_id, secret = _client(call, form)
    app = call.org.apps.by_key(client_id)
    if app is None or not secret_matches(app, secret):
        return OAuthError("invalid_client", "invalid client credentials", 401).reply()
    given = form.get("token", "")
    session = call.org.sessions.find(given)
    if session is not None and session.app is not None and session.app.id == app.id:
        return Reply.json(
            {
                "active": True,
                "scope": session.scopes,
                "client_id": app.consumer_key,
                "username": session.username,
                "sub": f"{call.org.url}/id/{call.org.org_id}/{session.user_id}",
                "token_type": "access_token",
                "exp": int(session.expires.timestamp()),
                "iat": int(session.created.timestamp()),
                "nbf": int(session.created.timestamp()),
            }
        )
    grant = call.org.sessions.by_refresh_token(given)
    if grant is not None and grant.app.id == app.id:
        return Reply.json(
            {
                "active": True,
                "scope": app.scopes,
                "client_id": app.consumer_key,
                "token_type": "refresh_token",
            }
        )
    return Reply.json({"active": False})


def userinfo(call: Call) -> Reply:
    """GET /services/oauth2/userinfo."""
    session = call.session
    user = call.org.store.get("User", session.user_id) or {}
    identity = f"{call.org.url}/id/{call.org.org_id}/{session.user_id}"
    return Reply.json(
        {
            "sub": identity,
            "user_id": session.user_id,
            "organization_id": call.org.org_id,
            "preferred_username": session.username,
            "nickname": user.get("CommunityNickname") or user.get("Alias"),
            "name": user.get("Name"),
            "email": user.get("Email"),
            "email_verified": True,
            "given_name": user.get("FirstName"),
            "family_name": user.get("LastName"),
            "zoneinfo": user.get("TimeZoneSidKey"),
            "profile": f"{call.org.url}/{session.user_id}",
            "active": bool(user.get("IsActive")),
            "user_type": "STANDARD",
            "language": user.get("LanguageLocaleKey"),
            "locale": user.get("LocaleSidKey"),
            "utcOffset": 0,
            "updated_at": user.get("LastModifiedDate"),
            "is_app_installed": True,
            "urls": urls(call),
        }
    )


def urls(call: Call) -> dict[str, str]:
    base = call.org.url
    return {
        "rest": f"{base}/services/data/v{{version}}/",
        "sobjects": f"{base}/services/data/v{{version}}/sobjects/",
        "query": f"{base}/services/data/v{{version}}/query/",
        "search": f"{base}/services/data/v{{version}}/search/",
        "recent": f"{base}/services/data/v{{version}}/recent/",
        "tooling_rest": f"{base}/services/data/v{{version}}/tooling/",
        "tooling_soap": f"{base}/services/Soap/T/{{version}}/{call.org.org_id[:15]}",
        "enterprise": f"{base}/services/Soap/c/{{version}}/{call.org.org_id[:15]}",
        "partner": f"{base}/services/Soap/u/{{version}}/{call.org.org_id[:15]}",
        "metadata": f"{base}/services/Soap/m/{{version}}/{call.org.org_id[:15]}",
        "custom_domain": base,
    }


def identity(call: Call, org_id: str, user_id: str) -> Reply:
    """GET /id/{org}/{user}: who a token belongs to."""
    session = call.session
    if org_id[:15] != call.org.org_id[:15] or user_id[:15] != session.user_id[:15]:
        return Reply(403, b"Bad_OAuth_Token", "text/html;charset=UTF-8")
    user = call.org.store.get("User", session.user_id) or {}
    return Reply.json(
        {
            "id": f"{call.org.url}/id/{call.org.org_id}/{session.user_id}",
            "asserted_user": True,
            "user_id": session.user_id,
            "organization_id": call.org.org_id,
            "username": session.username,
            "nick_name": user.get("CommunityNickname") or user.get("Alias"),
            "display_name": user.get("Name"),
            "email": user.get("Email"),
            "email_verified": True,
            "first_name": user.get("FirstName"),
            "last_name": user.get("LastName"),
            "timezone": user.get("TimeZoneSidKey"),
            "active": bool(user.get("IsActive")),
            "user_type": "STANDARD",
            "language": user.get("LanguageLocaleKey"),
            "locale": user.get("LocaleSidKey"),
            "utcOffset": 0,
            "last_modified_date": user.get("LastModifiedDate") or iso(call.org.clock.now()),
            "is_app_installed": True,
            "urls": urls(call),
        }
    )


def credential_of(call: Call) -> str:
    """Who a call to an OAuth endpoint claims to be, for the request log; `unknown` when it does not say."""
    if not call.path.startswith("/services/oauth2/"):
        return "anonymous"
    form = call.form()
    for name in ("refresh_token", "token"):
        if form.get(name):
            return call.org.sessions.name_of(form[name])
    if form.get("assertion"):
        try:
            claims = jwt.decode(form["assertion"], options={"verify_signature": False})
        except jwt.PyJWTError:
            return "unknown"
        app = call.org.apps.by_key(str(claims.get("iss", "")))
        user_id = call.org.user_by_name(str(claims.get("sub", "")))
        return f"oauth:{app.name}:{user_id}" if app else "unknown"
    try:
        app = call.org.apps.by_key(_client(call, form)[0])
    except OAuthError:
        return "unknown"
    return f"oauth:{app.name}:{app.run_as}" if app else "unknown"
