"""One realistic incident, as the phases leave it in its folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.evidence.ledger import FileLedger, open_ledger
from tasks.incident import (
    Access,
    AccessStatus,
    Bounds,
    Containment,
    Coverage,
    Duty,
    DutyStatus,
    Incident,
    IncidentFolder,
    Mode,
    Phase,
    Proof,
    ProofMethod,
    ScopeSummary,
    Suspect,
    SuspectKind,
    System,
    Window,
)

T0 = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ID = "INC-20261124-chat"


def at(**later: float) -> datetime:
    return T0 + timedelta(**later)


INCIDENT = Incident(
    id=ID,
    what_happened="The vendor of the support chat told us that OAuth tokens were stolen <b>and used</b>.",
    suspects=(
        Suspect(SuspectKind.CONNECTED_APP, "Support Chat"),
        Suspect(SuspectKind.AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPLE", "Case 5005g00000AbCdEAAV: Description"),
        Suspect(SuspectKind.VAULT_ACCESSOR, "h3kq0yYzX2bLr8Wv", "Case 5005g00000AbCdFAAV: Comments"),
    ),
    window=Window(at(hours=-20)),
    aware_at=T0,
    declared_at=at(minutes=4),
    plan="lab",
    mode=Mode.CONTAIN,
    commander="incident-commander",
)


def _closed(
    system: System, kind: str, principal: str, ref: str, detail: str, seconds: float, method: ProofMethod
) -> Containment:
    proof = Proof(method, True, detail, at(minutes=5, seconds=seconds))
    return Containment(Access(system, kind, principal, ref), AccessStatus.CLOSED, proof, seconds)


CONTAINMENT = [
    _closed(
        System.SALESFORCE,
        "oauth-grants",
        "Support Chat (2,600 users)",
        "Support Chat",
        "COUNT() of the app's grants is 0; the token answers invalid_grant",
        6.42,
        ProofMethod.RECOUNT,
    ),
    _closed(
        System.SALESFORCE,
        "sessions",
        "support-chat@lab.example",
        "0055g000001AbCdAAK",
        "0 sessions left; the old access token answers INVALID_SESSION_ID",
        2.13,
        ProofMethod.ATTEMPT,
    ),
    _closed(
        System.AWS,
        "access-key",
        "support-attachments",
        "AKIAIOSFODNN7EXAMPLE",
        "s3:GetObject with the key answers InvalidAccessKeyId",
        0.88,
        ProofMethod.ATTEMPT,
    ),
    _closed(
        System.VAULT,
        "lease",
        "support-readonly (3 database logins)",
        "database/creds/support-readonly",
        "PostgreSQL refuses all 3 logins",
        1.37,
        ProofMethod.ATTEMPT,
    ),
    Containment(
        Access(System.SALESFORCE, "connected-app-secret", "Support Chat", "Support Chat"),
        AccessStatus.MANUAL,
        None,
        0,
        "Setup > App Manager > Support Chat > Manage Consumer Details: rotate the secret. "
        "Owner: Salesforce administrator.",
    ),
    Containment(
        Access(System.AWS, "role-sessions", "order-export", "order-export"),
        AccessStatus.FAILED,
        Proof(ProofMethod.ATTEMPT, False, "a session from before still lists the bucket", at(minutes=6)),
        31.0,
        "deny attached, sessions of one region still work",
    ),
    Containment(
        Access(System.SALESFORCE, "user-login", "responder@lab.example", "0055g000001ZzZzAAK"),
        AccessStatus.REFUSED,
        None,
        0,
        "this is the responder's own identity",
    ),
]

SCOPE = ScopeSummary(
    records=Bounds(18_422, 20_010),
    subjects=Bounds(9_811, 10_640),
    records_by_object={"Case": 12_011, "Contact": 4_310, "Account": 1_601, "User": 500},
    by_residence={
        "DE": Bounds(2411, 2590),
        "GB": Bounds(1980, 2102),
        "US-CA": Bounds(1433, 1433),
        "FR": Bounds(1207, 1377),
        "US-NY": Bounds(804, 859),
        "BR": Bounds(611, 640),
        "SG": Bounds(402, 436),
        "unknown": Bounds(963, 1203),
    },
    by_category={
        "contact": Bounds(9811, 10_640),
        "free_text": Bounds(7204, 8100),
        "credentials": Bounds(2, 2),
        "payment_token": Bounds(0, 12),
    },
    coverage=(
        Coverage("EventLogFile API", True, at(hours=-19), at(minutes=-3), 4120, "Complete for the window."),
        Coverage(
            "EventLogFile UniqueQuery", True, at(hours=-19), at(minutes=-3), 311, "Text of every query seen."
        ),
        Coverage(
            "ApiEvent",
            False,
            None,
            None,
            0,
            "Not licensed: record ids are bounded by running queries again.",
            licensed=False,
            lag_s=300,
            effect="the records of queries are those that running them again gives",
        ),
        Coverage(
            "EventLogFile RestApi",
            True,
            at(hours=-19),
            at(minutes=-3),
            812,
            "One hour is missing.",
            licensed=True,
            gaps=("no event at 2026-11-24 03:00 UTC",),
            lag_s=21_600,
            effect="what happened in the gaps is in no count",
        ),
    ),
    queries=311,
    unparsed_queries=2,
    as_of=at(minutes=9),
    found_suspects=(Suspect(SuspectKind.AWS_ACCESS_KEY, "AKIAIOSFODNN7EXAMPLE"),),
)


def _duty(
    rule: str, recipient: str, hours: float | None, status: DutyStatus = DutyStatus.DUE, **more: object
) -> Duty:
    defaults: dict[str, object] = {
        "policy": False,
        "citation": "Art. 33(1) GDPR",
        "confidence": "high",
        "why": "9,811 to 10,640 persons.",
        "missing": (),
    }
    due = None if hours is None else at(hours=hours)
    return Duty(rule, status, recipient, T0, due, **{**defaults, **more})  # type: ignore[arg-type]


DUTIES = [
    _duty("us-ca-residents", "Affected residents of California", 720, citation="Cal. Civ. Code § 1798.82"),
    _duty("eu-gdpr-33", "Lead supervisory authority", 72),
    _duty("uk-gdpr-33", "Information Commissioner's Office", 72, citation="Art. 33(1) UK GDPR"),
    _duty("sg-pdpa-26d", "PDPC", 24 * 3.5, policy=True, citation="PDPA s 26D", confidence="medium"),
    _duty(
        "br-lgpd-48",
        "ANPD",
        None,
        DutyStatus.UNDETERMINED,
        missing=("incident.risk",),
        why="Is there relevant risk or damage to the persons?",
        citation="LGPD Art. 48",
    ),
    _duty("us-ny-ag", "New York Attorney General", None, DutyStatus.NOT_DUE, why="No listed data element."),
]


def fill(folder: IncidentFolder) -> FileLedger:
    """Write everything above, a ledger, original logs and a snapshot into the folder."""
    ticks = iter(range(10**6))
    ledger = open_ledger(folder.ledger, actor="respond", clock=lambda: at(seconds=7 * next(ticks)))
    folder.write(folder.incident, INCIDENT)
    ledger.note(Phase.DECLARE, "declared", ID, suspects=[str(s) for s in INCIDENT.suspects])
    ledger.note(Phase.PRESERVE, "preserved", "oauth-tokens.json", sha256="ab" * 32, count=2600)
    for item in CONTAINMENT:
        if item.proof is None:
            ledger.note(Phase.CONTAIN, "manual-step", item.access.key, owner="salesforce_admin")
            continue
        attempt = ledger.attempt(Phase.CONTAIN, "close", item.access.key)
        outcome = "ok" if item.status is AccessStatus.CLOSED else "failed"
        ledger.result(attempt, outcome, seconds=item.seconds, proof=item.proof.detail)
    folder.write(folder.containment, CONTAINMENT)
    ledger.note(Phase.SCOPE, "scoped", ID, records=18_422, subjects=9_811)
    folder.write(folder.scope, SCOPE)
    folder.write(folder.duties, DUTIES)
    ledger.note(Phase.NOTIFY, "duties", ID, duties=len(DUTIES))
    (folder.sub("logs") / "API-0AT5g00000AbCdEGAV.csv").write_text("EVENT_TYPE,USER_ID\nAPI,005\n" * 2000)
    (folder.sub("snapshot") / "oauth-tokens.json").write_text('{"count": 2600}\n')
    return ledger


def folder_at(root: Path) -> IncidentFolder:
    return IncidentFolder.of(ID, root)
