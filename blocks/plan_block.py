"""The response plan as a Prefect block: the text of the YAML file, the same for every worker."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from blocks.base import SystemBlock
from blocks.check import Check, attempt
from blocks.plan import Plan, parse_plan, read_text


class ResponsePlan(SystemBlock):
    """The organisation's response plan: roles, systems, integrations, vendors and policies, as YAML.

    Keep the file under version control and save it here again after each change. It holds no secret,
    only where secrets are kept.
    """

    _block_type_name: ClassVar[str] = "Leak Response Plan"
    _block_type_slug: ClassVar[str] = "leak-response-plan"

    text: str = Field(description="The YAML text of the plan", min_length=1)
    file: str = Field(default="plan.yaml", description="What complaints call the file")

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The block for a plan file; raises PlanError when the file cannot be used."""
        text = read_text(Path(path))
        parse_plan(text, str(path))
        return cls(text=text, file=Path(path).name)

    def plan(self) -> Plan:
        """The plan; raises PlanError that names line and key."""
        return self._live.get("plan", lambda: parse_plan(self.text, self.file))

    def get_client(self) -> Plan:
        """The plan, by the name that all blocks share."""
        return self.plan()

    def check(self) -> list[Check]:
        """The plan can be read, and its references hold."""
        return [attempt("Plan: valid", self.plan)]
