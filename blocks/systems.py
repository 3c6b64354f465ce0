"""Everything one response talks to, in one object: from a lab's file, or from blocks saved in Prefect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from prefect.blocks.core import Block
from pydantic import ValidationError

from blocks.aws import AwsAccount
from blocks.base import SystemBlock
from blocks.check import Check
from blocks.errors import BadInput
from blocks.evidence import EvidenceStore
from blocks.mail import MailServer
from blocks.plan import Plan, load_plan
from blocks.plan_block import ResponsePlan
from blocks.salesforce.org import SalesforceOrg
from blocks.slack import SlackWorkspace
from blocks.vault import VaultServer

B = TypeVar("B", bound=SystemBlock)

# Children before the blocks that hold them.
BLOCK_TYPES: tuple[type[SystemBlock], ...] = (
    VaultServer,
    AwsAccount,
    EvidenceStore,
    SalesforceOrg,
    SlackWorkspace,
    MailServer,
    ResponsePlan,
)


def register_all() -> list[str]:
    """Make every block type known to the Prefect server, with its form in the UI; returns their slugs."""
    for block_type in BLOCK_TYPES:
        cast(Any, block_type.register_type_and_schema)()
    return [block_type.get_block_type_slug() for block_type in BLOCK_TYPES]


def saved_org(name: str) -> SalesforceOrg | None:
    """The org that is saved under this name, if one is."""
    return _load_if_saved(SalesforceOrg, name)


@dataclass(frozen=True, slots=True)
class Systems:
    """The systems of one organisation and its plan. The blocks share one Vault and one AWS account.

    Without Slack the people are told by e-mail, without either only by the report.
    """

    salesforce: SalesforceOrg
    vault: VaultServer
    aws: AwsAccount
    slack: SlackWorkspace | None
    evidence: EvidenceStore
    plan: Plan
    mail: MailServer | None = None

    @classmethod
    def from_lab(cls, path: str | Path) -> Self:
        """The systems that a running lab describes in its `lab.json`.

        Raises BadInput when the file is no such description, PlanError when its plan is wrong.
        """
        path = Path(path)
        lab = _read_lab(path)
        blocks = lab["blocks"]
        vault = _build(VaultServer, blocks, "vault", path)
        aws = _build(AwsAccount, blocks, "aws", path, vault=vault)
        return cls(
            salesforce=_build(SalesforceOrg, blocks, "salesforce", path, vault=vault),
            vault=vault,
            aws=aws,
            slack=_build(SlackWorkspace, blocks, "slack", path, vault=vault) if "slack" in blocks else None,
            mail=_build(MailServer, blocks, "mail", path, vault=vault) if "mail" in blocks else None,
            evidence=_build(EvidenceStore, blocks, "evidence", path, aws=aws),
            plan=load_plan(path.parent / lab["plan"]),
        )

    @classmethod
    def load(cls, name: str) -> Self:
        """The systems saved in Prefect as blocks of this name; raises BadInput when one is missing."""
        vault = _load(VaultServer, name)
        # A loaded block brings its own copy of the Vault it names: give all of them the same one.
        aws = _sharing(_load(AwsAccount, name), vault=vault)
        slack, mail = _load_if_saved(SlackWorkspace, name), _load_if_saved(MailServer, name)
        return cls(
            salesforce=_sharing(_load(SalesforceOrg, name), vault=vault),
            vault=vault,
            aws=aws,
            slack=_sharing(slack, vault=vault) if slack else None,
            mail=_sharing(mail, vault=vault) if mail else None,
            evidence=_sharing(_load(EvidenceStore, name), aws=aws),
            plan=_load(ResponsePlan, name).plan(),
        )

    def save(self, name: str) -> None:
        """Save all blocks in Prefect under one name (lower-case letters, digits, dashes), over older ones."""
        _save(self.vault, name)
        for block in (self.salesforce, self.aws, self.slack, self.mail, self.evidence):
            if block is not None:
                _save(block, name)
        _save(ResponsePlan(text=self.plan.text, file=Path(self.plan.file).name), name)

    def check(self) -> list[Check]:
        """What preflight asks: every block's checks, side by side. Changes nothing."""
        named = (self.salesforce, self.vault, self.aws, self.slack, self.mail, self.evidence)
        blocks: list[SystemBlock] = [block for block in named if block is not None]
        with ThreadPoolExecutor(max_workers=len(blocks), thread_name_prefix="preflight") as pool:
            return [check for checks in pool.map(lambda block: block.check(), blocks) for check in checks]


def _read_lab(path: Path) -> dict[str, Any]:
    fix = "Give the lab.json that `leak-response lab up --dir DIR` writes, and keep the lab running."
    try:
        lab = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {type(error).__name__}.", fix) from None
    except ValueError:
        raise BadInput(f"{path} is not JSON.", fix) from None
    if not isinstance(lab, dict) or not isinstance(lab.get("blocks"), dict) or "plan" not in lab:
        raise BadInput(f"{path} does not describe a lab: it has no `blocks` and `plan`.", fix)
    return lab


def _build(kind: type[B], blocks: Mapping[str, Any], key: str, path: Path, **shared: SystemBlock) -> B:
    values = blocks.get(key)
    if not isinstance(values, dict):
        raise BadInput(f"{path} has no block values for {key}.", "Start the lab again.")
    own = {name: value for name, value in values.items() if name not in shared}
    try:
        return kind(**own, **shared)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, item["loc"])) or "value" for item in error.errors()}))
        raise BadInput(f"{path}: the values of block {key} are wrong: {wrong}.", "Correct them.") from None


def _load(kind: type[B], name: str) -> B:
    try:
        return cast(B, cast(Any, kind.load)(name))
    except ValueError:
        slug = kind.get_block_type_slug()
        raise BadInput(
            f"Prefect has no block {slug}/{name}.",
            "Save the blocks first: `leak-response blocks register`, or fill in the form in the UI.",
        ) from None


def _load_if_saved(kind: type[B], name: str) -> B | None:
    """The block, or None where there is none of that name: it is one that an organisation may do without."""
    try:
        return _load(kind, name)
    except BadInput:
        return None


def _save(block: Block, name: str) -> None:
    cast(Any, block.save)(name, overwrite=True)


def _sharing(block: B, **shared: SystemBlock) -> B:
    """The block with these children in place of its own copies of them, where it has any."""
    update = {key: value for key, value in shared.items() if getattr(block, key) is not None}
    for key, value in update.items():
        setattr(block, key, value)
    return block
