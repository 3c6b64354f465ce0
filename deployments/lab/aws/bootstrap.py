"""The account's first state: an administrator with the key the launcher was given, some managed policies."""

from __future__ import annotations

import json
from dataclasses import dataclass

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend

from . import principals

ADMIN_NAME = "lab-admin"
ADMIN_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
# AWS has over a thousand of these; loading all takes moto 90 MB. These are the ones response meets.
MANAGED = (
    "AdministratorAccess",
    "AWSDenyAll",
    "AWSCompromisedKeyQuarantineV2",
    "AWSCompromisedKeyQuarantineV3",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "IAMFullAccess",
    "IAMReadOnlyAccess",
    "IAMUserChangePassword",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecretsManagerReadWrite",
    "SecurityAudit",
    "ViewOnlyAccess",
)


@dataclass(frozen=True, slots=True)
class Admin:
    key_id: str
    secret: str


def install_managed_policies() -> None:
    """Give every new IAM backend the managed policies above."""
    known = {name: data for name, data in json.loads(aws_managed_policies_data).items() if name in MANAGED}

    def chosen(backend: IAMBackend) -> list[AWSManagedPolicy]:
        return [
            AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, data)
            for name, data in known.items()
        ]

    setattr(IAMBackend, "_init_aws_policies", chosen)  # noqa: B010 - moto is typed, its methods are not to be replaced


def reset(admin: Admin) -> None:
    """Empty the whole account and create its administrator."""
    BackendDict.reset()
    reset_model_data()
    principals.reset()
    iam = principals.iam()
    user = iam.create_user(principals.PARTITION, ADMIN_NAME)
    iam.put_user_policy(ADMIN_NAME, "administrator", json.dumps(ADMIN_POLICY))
    key = user.create_access_key(prefix="AKIA")
    key.access_key_id, key.secret_access_key = admin.key_id, admin.secret
    iam.access_keys[admin.key_id] = key
