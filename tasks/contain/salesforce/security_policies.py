"""Access kind `security-policy`: transaction security policies staged for this moment, switched on.

An organisation with Event Monitoring prepares policies (block large API reads, for example), leaves them
disabled and names them `LeakResponse...`. Which traffic they stop is theirs to say; we switch on and off.
Source: Object Reference, TransactionSecurityPolicy (`State`, update()).
"""

from __future__ import annotations

from blocks.salesforce.errors import SalesforceRefused
from tasks.contain.kinds import AccessKind, Reopened
from tasks.contain.salesforce.org import quote
from tasks.incident import Access, Proof, System

STAGED = "LeakResponse%"
ENABLED, DISABLED = "Enabled", "Disabled"
OBJECT = "TransactionSecurityPolicy"


class SecurityPolicy(AccessKind):
    """One access per staged policy that is still off; none in an org without the licence."""

    system = System.SALESFORCE
    name = "security-policy"
    action = "switch the staged transaction security policy on"

    def observe(self) -> list[Access]:
        where = f"DeveloperName LIKE {quote(STAGED)} AND State = {quote(DISABLED)}"
        try:
            rows = list(self.world.salesforce.rows("Id, MasterLabel, State", OBJECT, where))
        except SalesforceRefused as error:
            if "INVALID_TYPE" in error.codes:
                return []
            raise
        return [self.access(row["MasterLabel"], row["Id"], state=row["State"]) for row in rows]

    def close(self, access: Access) -> None:
        self.world.salesforce.update(OBJECT, access.ref, {"State": ENABLED})

    def prove(self, access: Access) -> Proof:
        state = self._state(access)
        return self.recount(state == ENABLED, f"The policy's state reads {state}.")

    def reopen(self, access: Access) -> Reopened:
        self.world.salesforce.update(OBJECT, access.ref, {"State": access.before["state"]})
        state = self._state(access)
        return Reopened(state == access.before["state"], f"The policy's state reads {state}, as before.")

    def _state(self, access: Access) -> str:
        rows = list(self.world.salesforce.rows("State", OBJECT, f"Id = {quote(access.ref)}"))
        return str(rows[0]["State"]) if rows else "deleted"
