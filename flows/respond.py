"""Respond: the whole response to a suspected leak, one flow per phase. Cut first, look second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.close import close
from flows.contain import NEEDS_APPROVAL, contain
from flows.declare import SuspectInput, declare
from flows.notify import notify
from flows.preserve import preserve
from flows.remediate import remediate
from flows.scope import scope
from flows.settle import answered, hand_over, settle, waits
from flows.workspace import Workspace, now
from tasks.incident import Mode, new_incident_id
from tasks.notify.run import tell_slack


def run_name() -> str:
    """The incident's id when one is given; the UI shows it as the run's name."""
    return str(flow_run.parameters.get("incident_id") or "respond")


@flow(name="respond", flow_run_name=run_name)
def respond(
    what_happened: str,
    suspects: list[SuspectInput],
    window_start: datetime,
    aware_at: datetime | None = None,
    window_end: datetime | None = None,
    mode: Mode = Mode.CONTAIN,
    plan: str = "default",
    commander: str = "",
    answers: dict[str, Any] | None = None,
    incident_id: str = "",
    log_wait_s: float = 60,
) -> State[Any]:
    """Preserve evidence, cut and prove every access, scope the leak, start the legal clocks, seal the record.

    Start it from this form with what is known; everything can be run again with the same incident id, and
    nothing is done twice. What needs an approval is asked for and keeps nothing else waiting.

    Args:
        what_happened: One sentence, without personal data: it is shown in Slack and in the report.
        suspects: What may have leaked: kind and reference, never the secret itself.
        window_start: Since when the suspects may have been misused (with time zone).
        aware_at: When the organisation became aware: the legal clocks start here. Empty: now.
        window_end: Until when; empty while it may still be going on.
        mode: `plan` shows what would be done and changes nothing; `contain` does it.
        plan: Name under which the response plan and its systems are saved as blocks.
        commander: Who leads the response.
        answers: Facts only people know, for example {"incident.risk_level": "high"}.
        incident_id: Give the id of an earlier run to resume it; empty starts a new incident.
        log_wait_s: Seconds to wait for event logs before scoping with what has arrived.
    """
    started = now()
    incident_id = incident_id or new_incident_id(started)
    warnings = declare(
        incident_id=incident_id,
        what_happened=what_happened,
        suspects=suspects,
        window_start=window_start,
        aware_at=aware_at or started,
        window_end=window_end,
        plan=plan,
        mode=mode,
        commander=commander or None,
    )
    for warning in warnings:
        get_run_logger().warning("preflight: %s", warning)
    if mode is Mode.PLAN:
        return contain(incident_id, return_state=True)
    phases: list[tuple[str, Callable[[], State[Any]]]] = [
        ("preserve", lambda: preserve(incident_id, return_state=True)),
        ("contain", lambda: contain_and_hand_over(incident_id)),
        ("scope", lambda: scope(incident_id, log_wait_s, return_state=True)),
        ("notify", lambda: notify(incident_id, answers, return_state=True)),
        ("remediate", lambda: remediate(incident_id, return_state=True)),
        ("close", lambda: close(incident_id, return_state=True)),
    ]
    states = {name: carry_out(incident_id, name, run) for name, run in phases}
    asked = states["contain"].name == NEEDS_APPROVAL
    failed = [n for n, s in states.items() if not s.is_completed() and not (asked and n == "contain")]
    if asked or waits(Workspace.open(incident_id)):
        return finish_waiting(incident_id, failed)
    return ended(incident_id, failed)


def contain_and_hand_over(incident_id: str) -> State[Any]:
    """Cut what may be cut. For what waits for an approval a run of its own waits, from now on; this one goes
    on with the phases that need no approval."""
    state = contain(incident_id, wait=False, return_state=True)
    work = Workspace.open(incident_id)
    if waits(work):
        hand_over(work)
    return state


def finish_waiting(incident_id: str, failed: list[str]) -> State[Any]:
    """End, if another run waits for the approval; else wait here, now that everything else is done."""
    work, also = Workspace.open(incident_id), f"; not complete: {', '.join(failed)}" if failed else ""
    if not answered(work) and hand_over(work):
        text = f"{incident_id}: closed but for what waits for an approval; another run waits for it{also}"
        return Failed(name=NEEDS_APPROVAL, message=text)
    state = settle(incident_id, return_state=True)
    get_run_logger().info("settle: %s: %s", state.name, state.message)
    if state.is_completed():
        return ended(incident_id, failed)
    return Failed(name=state.name or "Failed", message=f"{incident_id}: {state.message}{also}")


def ended(incident_id: str, failed: list[str]) -> State[Any]:
    """The state of a response whose phases have all been run."""
    if failed:
        return Failed(message=f"{incident_id}: not complete: {', '.join(failed)}")
    return Completed(message=f"{incident_id}: contained, scoped, timed and sealed")


def carry_out(incident_id: str, name: str, run: Callable[[], State[Any]]) -> State[Any]:
    """Run one phase and tell Slack; a phase that fails never keeps the next from running."""
    started = time.monotonic()
    state = run()
    seconds = time.monotonic() - started
    log = get_run_logger()
    log.info("%s: %s in %.1f s: %s", name, state.name, seconds, state.message)
    done = state.is_completed()
    if name != "close":  # its message would change the record it has just sealed
        word = "waits for approval" if state.name == NEEDS_APPROVAL else "done" if done else "FAILED"
        announce(incident_id, name, word, state.message or "", seconds)
    return state


def announce(incident_id: str, phase: str, word: str, message: str, seconds: float) -> None:
    """The phase's line in the incident channel, in the background: Slack must not slow the response."""
    work = Workspace.open(incident_id)
    failed = () if word == "done" else (phase,)
    text = f"*{phase}* {word} in {seconds:.1f} s: {message}"
    tell_slack.submit(work.incident, work.systems, work.folder, phase, now(), text, failed)
