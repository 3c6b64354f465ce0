"""Saves the systems of a test as Prefect blocks, in a process of its own: `python -m ... FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from blocks.aws import AwsAccount
from blocks.evidence import EvidenceStore
from blocks.plan import load_plan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.systems import Systems, register_all
from blocks.vault import VaultServer


def main(file: Path) -> None:
    given = json.loads(file.read_text())
    aws = AwsAccount(**given["aws"])
    register_all()
    Systems(
        salesforce=SalesforceOrg(**given["salesforce"]),
        vault=VaultServer(**given["vault"]),
        aws=aws,
        slack=SlackWorkspace(**given["slack"]),
        evidence=EvidenceStore(bucket="none", aws=aws),
        plan=load_plan(given["plan"]),
    ).save("plan")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
