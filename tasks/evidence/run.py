"""Evidence as Prefect tasks: export, sign, pack, verify, store. None raises because a system is down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from blocks.systems import Systems
from tasks.evidence.history import HistoryExport, export_history
from tasks.evidence.ledger import FileLedger
from tasks.evidence.pack import Pack, build_pack
from tasks.evidence.seal import SealResult, VaultSigner, seal_ledger
from tasks.evidence.store import StoredPack, store_pack
from tasks.evidence.verify import Verification, verify
from tasks.incident import Incident, IncidentFolder


@dataclass(frozen=True, slots=True)
class Evidence:
    """What closing left behind: the pack, whether it verifies, where it is stored."""

    history: HistoryExport
    seal: SealResult
    pack: Pack
    verification: Verification
    stored: StoredPack

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it should be, one sentence each; making the evidence again makes up for it."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        if self.history.problem:
            yield f"Run history is not complete: {self.history.problem}"
        yield from self.verification.problems
        if not self.stored.stored:
            yield f"The pack is not under retention lock: {self.stored.reason}"


def build_evidence(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: FileLedger
) -> Evidence:
    """Export run history, sign the ledger, pack, verify and store, each as a task, in this order.

    Write the report first: it goes into the pack.
    """
    history = export_run_history(incident, folder, ledger)
    seal = sign_ledger(incident, systems, folder, ledger)
    pack, verification = make_pack(incident, systems, folder, ledger)
    stored = lock_away(pack, incident, systems, folder, ledger)
    return Evidence(history, seal, pack, verification, stored)


@task(name="export run history", cache_policy=NO_CACHE, persist_result=False)
def export_run_history(incident: Incident, folder: IncidentFolder, ledger: FileLedger) -> HistoryExport:
    """Copy the incident's Prefect runs, this one included, into its folder."""
    context = FlowRunContext.get()
    here = (str(context.flow_run.id),) if context and context.flow_run else ()
    exported = export_history(incident, folder, ledger, flow_run_ids=here)
    log = get_run_logger()
    log.info("%s runs, %s records", exported.runs, sum(exported.counts.values()))
    if exported.problem:
        log.warning("Run history is not complete: %s", exported.problem)
    return exported


@task(name="sign the ledger", cache_policy=NO_CACHE, persist_result=False)
def sign_ledger(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: FileLedger
) -> SealResult:
    """Sign the ledger's head: a checkpoint, between phases or at close."""
    result = seal_ledger(incident, folder, ledger, VaultSigner(systems.vault))
    if not result.sealed:
        get_run_logger().warning("The ledger is unsealed: %s", result.reason)
    return result


@task(name="build and verify the pack", cache_policy=NO_CACHE, persist_result=False)
def make_pack(
    incident: Incident, systems: Systems, folder: IncidentFolder, ledger: FileLedger
) -> tuple[Pack, Verification]:
    """Pack everything and check the pack as an auditor would, with the key that Vault gave."""
    pack = build_pack(incident, folder, ledger, VaultSigner(systems.vault))
    key = folder.path / "public-key.pem"
    verification = verify(pack.path, key if key.exists() else None)
    for problem in verification.problems:
        get_run_logger().error("The pack does not verify: %s", problem)
    return pack, verification


@task(name="lock the pack away", cache_policy=NO_CACHE, persist_result=False)
def lock_away(
    pack: Pack, incident: Incident, systems: Systems, folder: IncidentFolder, ledger: FileLedger
) -> StoredPack:
    """Put the pack into the evidence store for as long as the plan says."""
    days = systems.plan.policies.evidence_retention_days
    stored = store_pack(pack, incident, folder, ledger, systems.evidence, retention_days=days)
    if not stored.stored:
        get_run_logger().warning("The pack is not under retention lock: %s", stored.reason)
    return stored
