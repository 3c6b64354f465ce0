"""What people see after the clocks have started: drafts, the picture of deadlines, questions in Slack."""

from __future__ import annotations

from datetime import datetime

from prefect import task

from blocks.plan import Plan
from blocks.systems import Systems
from tasks.incident import Duty, Incident, IncidentFolder, Ledger
from tasks.notify.acting import Case
from tasks.notify.asking import ask_people
from tasks.notify.calendar_file import to_ics
from tasks.notify.drafts.make import make_drafts
from tasks.notify.drafts.store import Draft
from tasks.notify.history import history, standings
from tasks.notify.outlet import outlet_for
from tasks.notify.records import notify_file
from tasks.notify.run import facts_of
from tasks.notify.timeline_svg import timeline_svg


def present(
    incident: Incident, plan: Plan, folder: IncidentFolder, ledger: Ledger, at: datetime
) -> list[Draft]:
    """Write all drafts, `notify/timeline.svg` and `notify/duties.ics`; returns the drafts as they are now."""
    duties = folder.read(folder.duties, list[Duty]) or []
    picture = timeline_svg(duties, standings(history(folder)), incident.aware_at, at)
    notify_file(folder, "timeline.svg").write_text(picture, encoding="utf-8")
    notify_file(folder, "duties.ics").write_text(to_ics(duties, at), encoding="utf-8", newline="")
    return make_drafts(incident, plan, folder, ledger, facts_of(incident, plan, folder), at)


@task(name="prepare the notices", persist_result=False)
def prepare_notices(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger, at: datetime
) -> str:
    """`present` as a step of a flow; returns how many drafts there are and how many have gaps."""
    drafts = present(incident, systems.plan, folder, ledger, at)
    gaps = sum(bool(draft.gaps) for draft in drafts)
    return f"{len(drafts)} drafts, {gaps} with gaps"


@task(name="ask in Slack", persist_result=False)
def ask_in_slack(incident: Incident, systems: Systems, folder: IncidentFolder, ledger: Ledger) -> list[str]:
    """Put questions, drafts and manual steps before people, each once; returns what was not posted."""
    outlet = outlet_for(systems.slack, systems.mail, systems.plan, folder)
    return ask_people(Case(incident, systems.plan, folder, ledger), outlet)
