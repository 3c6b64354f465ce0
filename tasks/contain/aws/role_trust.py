"""Access kind `role-trust`: who may assume a suspect role. Replaced by deny-all, put back by undo.

Ending a role's sessions does not keep whoever it trusts from assuming it again a second later.
"""

from __future__ import annotations

import json
from typing import Any

from blocks.aws import aws_errors
from tasks.contain.aws.documents import joined, pieces
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, SuspectKind, System

NOBODY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LeakResponse",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"],
        }
    ],
}


class RoleTrust(AccessKind):
    """Roles that are suspects themselves. A stolen session of a role needs no more than its end: whoever the
    role trusts was not what leaked."""

    system = System.AWS
    name = "role-trust"
    action = "replace the role's trust policy by one that trusts nobody"

    def observe(self) -> list[Access]:
        found = []
        for role in self.world.named(SuspectKind.AWS_ROLE):
            trust = self._trust(role)
            if trust != NOBODY:
                found.append(self.access(role, role, trust=pieces(json.dumps(trust))))
        return found

    def close(self, access: Access) -> None:
        self._put(access.ref, json.dumps(NOBODY))

    def prove(self, access: Access) -> Proof:
        shut = self._trust(access.ref) == NOBODY
        return self.recount(shut, f"The role trusts {'nobody' if shut else 'somebody'}.")

    def reopen(self, access: Access) -> Reopened:
        """Raises nothing for a trust that somebody has written since: theirs stays."""
        now = self._trust(access.ref)
        recorded = access.before.get("trust")
        if not recorded:
            return Reopened(False, "The trust policy of before was not recorded: write it by hand.")
        before = json.loads(joined(recorded))
        if now == NOBODY:
            self._put(access.ref, joined(recorded))
            now = self._trust(access.ref)
        same = now == before
        return Reopened(
            same, "The trust policy is as before." if same else "Somebody has changed the trust since."
        )

    def _trust(self, role: str) -> dict[str, Any]:
        with aws_errors("iam:GetRole"):
            document = self.world.aws.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        return dict(json.loads(document) if isinstance(document, str) else document)

    def _put(self, role: str, text: str) -> None:
        with aws_errors("iam:UpdateAssumeRolePolicy"):
            self.world.aws.iam.update_assume_role_policy(RoleName=role, PolicyDocument=text)
