"""Access kind `access-key`: a long-term key of an IAM user. Deactivated, never deleted: it can come back."""

from __future__ import annotations

from tasks.contain.aws.account import TEMPORARY, owner
from tasks.contain.kinds import AccessKind, Reopened
from tasks.incident import Access, Proof, SuspectKind, System

# What AWS answers to a key that is inactive or gone, by service family.
DEAD = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"})
ACTIVE, INACTIVE = "Active", "Inactive"


class AccessKey(AccessKind):
    """Keys named by id (the owner is looked up) and every active key of a suspect user, but for those that
    this incident has issued in place of a closed one."""

    system = System.AWS
    name = "access-key"
    action = "deactivate the access key"
    credential = True

    def observe(self) -> list[Access]:
        suspects = [
            (owner(self.world, key_id)["user"], key_id)
            for key_id in self.world.named(SuspectKind.AWS_ACCESS_KEY)
            if not key_id.startswith(TEMPORARY)
        ]
        for user in self.world.named(SuspectKind.AWS_USER):
            suspects += [
                (user, key_id) for key_id in self.world.aws.keys_of(user) if key_id not in self.world.replaced
            ]
        found = []
        for user, key_id in dict.fromkeys(suspects):
            status = self.world.aws.keys_of(user).get(key_id, "deleted")
            access = self.access(user, key_id, user=user, status=status)
            if status == ACTIVE or self.world.unproven(access):
                found.append(access)
        return found

    def close(self, access: Access) -> None:
        if self.world.aws.keys_of(access.before["user"]).get(access.ref) == ACTIVE:
            self.world.aws.set_key(access.before["user"], access.ref, INACTIVE)

    def prove(self, access: Access) -> Proof:
        status = self.world.aws.keys_of(access.before["user"]).get(access.ref, "deleted")
        secret = self.world.jar.get(SuspectKind.AWS_ACCESS_KEY, access.ref)
        if secret is not None:
            code = self.world.aws.refusal_of(access.ref, secret)
            if code is None:
                return self.attempt(False, f"The old key still lists buckets; its status reads {status}.")
            if code in DEAD:
                return self.attempt(True, f"The old key was tried on S3 and refused: {code}.")
        return self.recount(status != ACTIVE, f"The key's status reads {status}.")

    def reopen(self, access: Access) -> Reopened:
        user = access.before["user"]
        before = access.before["status"]
        if before in (ACTIVE, INACTIVE):
            self.world.aws.set_key(user, access.ref, before)
        now = self.world.aws.keys_of(user).get(access.ref, "deleted")
        return Reopened(now == before, f"The key's status reads {now}, as before.")

    def who(self, access: Access) -> frozenset[str]:
        return super().who(access) | {access.before["user"]}
