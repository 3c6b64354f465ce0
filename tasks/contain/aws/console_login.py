"""Access kind `console-login`: an IAM user's sign-in to the console with a password.

Deleting the login profile or setting another password cannot be undone: nobody, not even AWS, knows the old
password. A sign-in itself cannot be denied by policy, but all it yields is a temporary session, so an inline
deny on every request that carries `aws:TokenIssueTime` makes it worthless. Long-term keys carry none and are
left alone. It also stops sessions that the user's keys ask for, which is meant: the user is a suspect.
Source: IAM User Guide, global condition keys, `aws:TokenIssueTime` ("not present ... using access keys").
"""

from __future__ import annotations

from typing import Any

from blocks.aws import AwsRefused, aws_errors
from tasks.contain.aws.account import MISSING, principals
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, System

DENY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LeakResponse",
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"Null": {"aws:TokenIssueTime": "false"}},
        }
    ],
}


class ConsoleLogin(AccessKind):
    """Every suspect user who has a console password."""

    system = System.AWS
    name = "console-login"
    action = "deny what a console sign-in yields (inline policy; the password stays)"
    credential = True

    def observe(self) -> list[Access]:
        users = [p["user"] for p in principals(self.world) if "user" in p]
        found = []
        for user in users:
            stands = self.world.aws.inline_policy({"user": user}, self._policy()) is not None
            access = self.access(user, user, policy=self._policy())
            if self._has_password(user) and (not stands or self.world.unproven(access)):
                found.append(access)
        return found

    def close(self, access: Access) -> None:
        self.world.aws.put_inline_policy({"user": access.ref}, access.before["policy"], DENY)

    def prove(self, access: Access) -> Proof:
        stands = self.world.aws.inline_policy({"user": access.ref}, access.before["policy"])
        if stands != DENY:
            return self.recount(False, "The deny policy is not there.")
        decision = self.world.aws.simulated(
            {"user": access.ref}, "s3:ListAllMyBuckets", {"aws:TokenIssueTime": self.world.now()}
        )
        return self.recount(
            decision == "explicitDeny", f"AWS evaluates a session that signed in just now to {decision}."
        )

    def reopen(self, access: Access) -> Reopened:
        self.world.aws.delete_inline_policy({"user": access.ref}, access.before["policy"])
        gone = self.world.aws.inline_policy({"user": access.ref}, access.before["policy"]) is None
        return Reopened(gone, "The deny policy is gone; the password is the one of before.")

    def _has_password(self, user: str) -> bool:
        try:
            with aws_errors("iam:GetLoginProfile"):
                self.world.aws.iam.get_login_profile(UserName=user)
        except AwsRefused as error:
            if error.code in MISSING:
                return False
            raise
        return True

    def _policy(self) -> str:
        return f"LeakResponse-DenyConsole-{self.world.incident.id}"
