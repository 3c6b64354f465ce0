"""Access kind `aws-sessions`: temporary credentials already issued to a user or role.

Deactivating a key does not end sessions made with it. An inline deny on `aws:TokenIssueTime` does, leaves
long-term keys alone (they carry no issue time), and is lifted by deleting the policy.
Source: IAM User Guide, "Disabling permissions for temporary security credentials".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tasks.contain.aws.account import principals, sessions_in
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, System


class LiveSessions(AccessKind):
    """Sessions of every user and role behind the AWS suspects, issued before the moment of closing."""

    system = System.AWS
    name = "aws-sessions"
    action = "deny every session issued before now (inline policy)"

    def observe(self) -> list[Access]:
        return [
            self.access(
                next(iter(p.values())),
                "/".join(*p.items()),
                principal=p,
                policy=self._policy(),
                let_in=self._let_in(p),
            )
            for p in principals(self.world)
            if self.world.aws.inline_policy(p, self._policy()) is None
        ]

    def close(self, access: Access) -> None:
        # Issue times are whole seconds by AWS's clock; without the next one, sessions of this second live.
        now = max(self.world.now(), self.world.aws.now()) + timedelta(seconds=1)
        issued_before = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "LeakResponse",
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"DateLessThan": {"aws:TokenIssueTime": issued_before}},
                }
            ],
        }
        self.world.aws.put_inline_policy(access.before["principal"], access.before["policy"], document)

    def prove(self, access: Access) -> Proof:
        stands = self.world.aws.inline_policy(access.before["principal"], access.before["policy"])
        if not stands:
            return self.recount(False, "The deny policy is not there.")
        instant = stands["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"]
        held = sessions_in(self.world.jar)
        if still := self._let_in(access.before["principal"]):
            return self.attempt(False, f"{len(still)} found sessions still list buckets.")
        # A session that was never allowed to list buckets proves nothing by being refused now.
        if tried := [key_id for key_id in access.before.get("let_in") or () if key_id in held]:
            return self.attempt(True, f"{len(tried)} found sessions were tried on S3 again and refused.")
        return self.recount(True, f"The deny on sessions issued before {instant} reads back as written.")

    def reopen(self, access: Access) -> Reopened:
        self.world.aws.delete_inline_policy(access.before["principal"], access.before["policy"])
        gone = self.world.aws.inline_policy(access.before["principal"], access.before["policy"]) is None
        return Reopened(gone, "The deny policy is gone.")

    def _let_in(self, principal: Mapping[str, str]) -> list[str]:
        """Key ids of the found sessions of this principal that get in now."""
        aws = self.world.aws
        return [
            key_id
            for key_id, held in sessions_in(self.world.jar).items()
            if aws.refusal_of(key_id, *held) is None and aws.holder(key_id, *held) == principal
        ]

    def _policy(self) -> str:
        return f"LeakResponse-DenyOldSessions-{self.world.incident.id}"
