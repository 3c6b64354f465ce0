"""The SOAP endpoints that clients still use: partner login and a few calls, and a metadata endpoint.

`login()` is there up to API 64, as in an org: it is gone from 65 on. The Metadata API lists nothing here and
answers every other call with a fault that says so.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from deployments.lab.salesforce.sessions import SECONDS_VALID
from deployments.lab.salesforce.wire import Call, Reply, escape

LAST_LOGIN_VERSION = 64
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
    ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"'
    ' xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)


def fault(code: str, message: str) -> Reply:
    """A fault as Salesforce sends it: 500, with its own exception code."""
    inner = (
        f"<sf:exceptionCode>{code}</sf:exceptionCode>"
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage>"
    )
    name = (
        "LoginFault" if code in ("INVALID_LOGIN", "LOGIN_DURING_RESTRICTED_TIME") else "UnexpectedErrorFault"
    )
    body = (
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode>"
        f"<faultstring>{code}: {escape(message)}</faultstring>"
        f'<detail><sf:{name} xsi:type="sf:{name}">{inner}</sf:{name}></detail></soapenv:Fault>'
    )
    return Reply.xml(_ENVELOPE.format(body=body), 500)


def _parse(call: Call) -> tuple[str, dict[str, str], str]:
    """The operation's name, its direct text parameters, and the session id of the header."""
    root = ET.fromstring(call.body)  # noqa: S314 - a lab on loopback; expat here expands no external entity
    session_id = ""
    for node in root.iter():
        if _local(node.tag) == "sessionId" and node.text:
            session_id = node.text.strip()
            break
    body = next(node for node in root if _local(node.tag) == "Body")
    operation = next(iter(body))
    given = {_local(node.tag): (node.text or "").strip() for node in operation}
    return _local(operation.tag), given, session_id


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def partner(call: Call, version: str) -> Reply:
    """POST /services/Soap/u/{version}: login, logout, getUserInfo, getServerTimestamp."""
    call.version = version
    try:
        operation, given, session_id = _parse(call)
    except (ET.ParseError, StopIteration):
        return fault("UNKNOWN_EXCEPTION", "The request is no SOAP envelope")
    if operation == "login":
        return _login(call, version, given)
    call.maybe_session = call.org.sessions.find(session_id)
    if call.maybe_session is None:
        return fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
    match operation:
        case "logout":
            call.org.sessions.end(call.session)
            call.org.note_logout(call.session, call.ip)
            body = "<logoutResponse/>"
        case "getUserInfo":
            body = f"<getUserInfoResponse><result>{_user_info(call)}</result></getUserInfoResponse>"
        case "getServerTimestamp":
            now = f"{call.org.clock.now():%Y-%m-%dT%H:%M:%S.000Z}"
            body = (
                f"<getServerTimestampResponse><result><timestamp>{now}</timestamp></result>"
                "</getServerTimestampResponse>"
            )
        case _:
            return fault("UNSUPPORTED_OPERATION", f"This org does not offer {operation} by SOAP; use REST")
    _note(call, operation)
    return Reply.xml(_ENVELOPE.format(body=body))


def _note(call: Call, operation: str) -> None:
    call.org.events.add(
        "API",
        call.org.caller(call)
        | {
            "URI": call.path,
            "API_TYPE": "P",
            "API_VERSION": call.version,
            "METHOD_NAME": operation,
            "REQUEST_STATUS": "S",
            "ROWS_PROCESSED": 0,
        },
    )


def _login(call: Call, version: str, given: dict[str, str]) -> Reply:
    org = call.org
    try:
        number = float(version)
    except ValueError:
        return fault("UNSUPPORTED_API_VERSION", f"Invalid Api version specified on URL: {version}")
    if number > LAST_LOGIN_VERSION:
        return fault("INVALID_OPERATION", "SOAP API login() is not available in this API version; use OAuth")
    user_id = org.user_by_name(given.get("username", ""))
    if user_id is None or not org.password_matches(user_id, given.get("password", "")):
        return fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    refused = (
        "Failed: User is Inactive"
        if org.is_inactive(user_id)
        else "User is Frozen"
        if org.is_frozen(user_id)
        else ""
    )
    username = given["username"]
    if refused:
        org.sessions.note_failed_login(
            org.sessions.login_row(user_id, call.ip, refused, app=None, agent=call.agent)
        )
        org.note_login(call, user_id, username, None, None, "", "LOGIN_ERROR_" + refused.split()[-1].upper())
        return fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    if not org.permissions.of(user_id).has("PermissionsApiEnabled"):
        return fault("API_CURRENTLY_DISABLED", "API is disabled for this User")
    session = org.sessions.open(user_id, username, call.ip, agent=call.agent, api_version=version)
    call.maybe_session = session
    org.note_login(call, user_id, username, session, None, "", "LOGIN_NO_ERROR")
    server = f"{org.url}/services/Soap/u/{version}/{org.org_id[:15]}"
    metadata_server = f"{org.url}/services/Soap/m/{version}/{org.org_id[:15]}"
    result = (
        f"<metadataServerUrl>{metadata_server}</metadataServerUrl><passwordExpired>false</passwordExpired>"
        f"<sandbox>false</sandbox><serverUrl>{server}</serverUrl><sessionId>{session.token}</sessionId>"
        f"<userId>{user_id}</userId><userInfo>{_user_info(call)}</userInfo>"
    )
    return Reply.xml(_ENVELOPE.format(body=f"<loginResponse><result>{result}</result></loginResponse>"))


def _user_info(call: Call) -> str:
    user: dict[str, Any] = call.org.store.get("User", call.session.user_id) or {}
    organization = call.org.store.get("Organization", call.org.org_id) or {}
    values = {
        "organizationId": call.org.org_id,
        "organizationName": organization.get("Name") or "",
        "profileId": user.get("ProfileId") or "",
        "sessionSecondsValid": SECONDS_VALID,
        "userEmail": user.get("Email") or "",
        "userFullName": user.get("Name") or "",
        "userId": call.session.user_id,
        "userLanguage": user.get("LanguageLocaleKey") or "en_US",
        "userLocale": user.get("LocaleSidKey") or "en_US",
        "userName": call.session.username,
        "userTimeZone": user.get("TimeZoneSidKey") or "UTC",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def metadata(call: Call, version: str) -> Reply:
    """POST /services/Soap/m/{version}: listMetadata is empty, describeMetadata names no type."""
    call.version = version
    try:
        operation, _, session_id = _parse(call)
    except (ET.ParseError, StopIteration):
        return fault("UNKNOWN_EXCEPTION", "The request is no SOAP envelope")
    call.maybe_session = call.org.sessions.find(session_id)
    if call.maybe_session is None:
        return fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
    access = call.org.permissions.of(call.session.user_id)
    if not access.has_any(("PermissionsModifyMetadata", "PermissionsModifyAllData")):
        return fault("INSUFFICIENT_ACCESS", "use of the Metadata API requires a user with Modify Metadata")
    _note(call, operation)
    envelope = _ENVELOPE.replace("urn:partner.soap.sforce.com", "http://soap.sforce.com/2006/04/metadata")
    if operation == "listMetadata":
        return Reply.xml(envelope.format(body="<listMetadataResponse/>"))
    if operation == "describeMetadata":
        result = "<organizationNamespace></organizationNamespace><partialSaveAllowed>true</partialSaveAllowed><testRequired>false</testRequired>"  # noqa: E501
        return Reply.xml(
            envelope.format(
                body=f"<describeMetadataResponse><result>{result}</result></describeMetadataResponse>"
            )
        )
    return fault("UNSUPPORTED_OPERATION", f"This org holds no metadata for {operation}")
