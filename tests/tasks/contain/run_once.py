"""Containment in a process of its own, so that a test can kill it: `python -m ... FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.systems import Systems
from blocks.vault import VaultServer
from tasks.contain.engine import contain
from tasks.evidence.ledger import open_ledger
from tasks.incident import Incident, from_json, to_json


def main(file: Path) -> None:
    given = json.loads(file.read_text())
    systems = Systems(
        salesforce=SalesforceOrg(**given["salesforce"]),
        vault=VaultServer(**given["vault"]),
        aws=AwsAccount(**given["aws"]),
        slack=SlackWorkspace(**given["slack"]),
        evidence=EvidenceStore(bucket="none", aws=AwsAccount(**given["aws"])),
        plan=load_plan(given["plan"]),
    )
    incident = from_json(Incident, given["incident"])
    found = contain(incident, systems, open_ledger(Path(given["ledger"])))
    print(json.dumps(to_json(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
