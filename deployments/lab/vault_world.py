"""What lives in the lab's Vault: the responder, two integrations, a stolen token and its leases.

The responder's policy is exactly what response needs and never root. `support-chat` is the integration whose
token leaked; `erp-sync` is an innocent one that must keep working.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import psycopg
from psycopg import sql

from .postgres import Postgres
from .vault import KV_MOUNT, TRANSIT_KEY, Vault

RESPONDER = "leak-response"
STOLEN_FROM = "support-chat"
INNOCENT = "erp-sync"
DYNAMIC_ROLES = {STOLEN_FROM: "support-readonly", INNOCENT: "erp-orders"}
STATIC_ROLE = "loyalty-static"
DATABASE_ADMIN = "vault_admin"

LIFETIMES = {"token_ttl": "24h", "token_max_ttl": "768h", "secret_id_ttl": "0"}

RESPONDER_POLICY = f"""
# The product's own secrets: read only.
path "{KV_MOUNT}/data/leak-response/*" {{ capabilities = ["read"] }}

# Integration secrets: read the versions, destroy a leaked one, write its replacement.
path "{KV_MOUNT}/metadata/integrations/*" {{ capabilities = ["read", "list"] }}
path "{KV_MOUNT}/metadata/integrations" {{ capabilities = ["list"] }}
path "{KV_MOUNT}/data/integrations/*" {{ capabilities = ["create", "read", "update", "patch"] }}
path "{KV_MOUNT}/delete/integrations/*" {{ capabilities = ["update"] }}
path "{KV_MOUNT}/undelete/integrations/*" {{ capabilities = ["update"] }}
path "{KV_MOUNT}/destroy/integrations/*" {{ capabilities = ["update"] }}

# The salt under which data subjects are hashed: made once, at the first scoping.
path "{KV_MOUNT}/data/leak-response/scope" {{ capabilities = ["create", "read"] }}

# A token found in exposed text: which accessor is it?
path "auth/token/lookup" {{ capabilities = ["update"] }}

# Tokens are listed and revoked by accessor; never by value. Listing accessors needs sudo.
path "auth/token/accessors" {{ capabilities = ["list", "sudo"] }}
path "auth/token/accessors/" {{ capabilities = ["list", "sudo"] }}
path "auth/token/lookup-accessor" {{ capabilities = ["update"] }}
path "auth/token/revoke-accessor" {{ capabilities = ["update"] }}

# AppRoles: see the roles, list and destroy secret ids, restrict a role.
path "auth/approle/role" {{ capabilities = ["list"] }}
path "auth/approle/role/+" {{ capabilities = ["read"] }}
path "auth/approle/role/+/role-id" {{ capabilities = ["read"] }}
path "auth/approle/role/+/secret-id" {{ capabilities = ["list", "update"] }}
path "auth/approle/role/+/secret-id-accessor/lookup" {{ capabilities = ["update"] }}
path "auth/approle/role/+/secret-id-accessor/destroy" {{ capabilities = ["update"] }}

# Leases: list, look up, revoke one, by prefix, and by force. Listing and prefixes need sudo.
path "sys/leases/lookup" {{ capabilities = ["update"] }}
path "sys/leases/lookup/*" {{ capabilities = ["list", "sudo"] }}
path "sys/leases/revoke" {{ capabilities = ["update"] }}
path "sys/leases/revoke/*" {{ capabilities = ["update"] }}
path "sys/leases/revoke-prefix/*" {{ capabilities = ["update", "sudo"] }}
path "sys/leases/revoke-force/*" {{ capabilities = ["update", "sudo"] }}

# Database engine: see the configuration, rotate static roles and root passwords.
path "database/config" {{ capabilities = ["list"] }}
path "database/config/*" {{ capabilities = ["read"] }}
path "database/roles" {{ capabilities = ["list"] }}
path "database/roles/*" {{ capabilities = ["read"] }}
path "database/static-roles" {{ capabilities = ["list"] }}
path "database/static-roles/*" {{ capabilities = ["read"] }}
path "database/rotate-role/*" {{ capabilities = ["update"] }}
path "database/rotate-root/*" {{ capabilities = ["update"] }}

# Identities: find and disable an entity.
path "identity/entity/id" {{ capabilities = ["list"] }}
path "identity/entity/name" {{ capabilities = ["list"] }}
path "identity/entity/id/*" {{ capabilities = ["read", "update"] }}
path "identity/entity/name/*" {{ capabilities = ["read", "update"] }}
path "identity/lookup/entity" {{ capabilities = ["update"] }}

# The ledger's key: sign and verify. It cannot be exported or deleted.
path "transit/keys/{TRANSIT_KEY}" {{ capabilities = ["read"] }}
path "transit/sign/{TRANSIT_KEY}" {{ capabilities = ["update"] }}
path "transit/sign/{TRANSIT_KEY}/*" {{ capabilities = ["update"] }}
path "transit/verify/{TRANSIT_KEY}" {{ capabilities = ["update"] }}

# Which mounts there are, and the hash by which the audit log names a secret.
path "sys/mounts" {{ capabilities = ["read"] }}
path "sys/auth" {{ capabilities = ["read"] }}
path "sys/policies/acl/*" {{ capabilities = ["read"] }}
path "sys/policy/*" {{ capabilities = ["read"] }}
path "sys/audit-hash/*" {{ capabilities = ["update"] }}
"""

INTEGRATION_POLICY = """
path "{kv}/data/{what}" {{ capabilities = ["read"] }}
path "{kv}/metadata/{what}" {{ capabilities = ["read", "list"] }}
path "database/creds/{role}" {{ capabilities = ["read"] }}
path "auth/token/renew-self" {{ capabilities = ["update"] }}
path "auth/token/lookup-self" {{ capabilities = ["read"] }}
"""

CREATION = [
    """CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'""",
    """GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}\"""",
]
# Revoking a lease in Vault alone would leave sessions that are already open: end them here.
REVOCATION = [
    """ALTER ROLE "{{name}}" NOLOGIN""",
    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'""",
    """REVOKE ALL PRIVILEGES ON ALL TABLES IN SCHEMA public FROM "{{name}}\"""",
    """DROP ROLE IF EXISTS "{{name}}\"""",
]


@dataclass(frozen=True, slots=True)
class StolenToken:
    """The integration's token that leaked, and the database logins it has out."""

    token: str
    accessor: str
    leases: tuple[str, ...]
    logins: tuple[tuple[str, str], ...]  # user and password of each lease


@dataclass(frozen=True, slots=True)
class VaultWorld:
    responder_role_id: str
    responder_secret_id: str
    stolen: StolenToken
    innocent_token: str


def seed(vault: Vault, postgres: Postgres, *, leases: int = 3) -> VaultWorld:
    """Create everything above. The stolen token comes from an AppRole login, as an integration's does."""
    root = vault.client()
    _database(root, postgres)
    root.sys.create_or_update_policy(RESPONDER, RESPONDER_POLICY)
    readable = {STOLEN_FROM: "integrations/*", INNOCENT: f"integrations/{INNOCENT}"}
    for name, role in DYNAMIC_ROLES.items():
        policy = INTEGRATION_POLICY.format(kv=KV_MOUNT, what=readable[name], role=role)
        root.sys.create_or_update_policy(name, policy)
    for name in (RESPONDER, *DYNAMIC_ROLES):
        root.auth.approle.create_or_update_approle(name, token_policies=[name], **LIFETIMES)
    responder_secret = _secret_id(root, RESPONDER)
    stolen = _login(vault, STOLEN_FROM)
    issued = [vault.client(stolen["client_token"]).read(_creds(STOLEN_FROM)) for _ in range(leases)]
    innocent = _login(vault, INNOCENT)
    vault.client(innocent["client_token"]).read(_creds(INNOCENT))
    return VaultWorld(
        responder_role_id=_role_id(root, RESPONDER),
        responder_secret_id=responder_secret,
        stolen=StolenToken(
            stolen["client_token"],
            stolen["accessor"],
            tuple(lease["lease_id"] for lease in issued),
            tuple((lease["data"]["username"], lease["data"]["password"]) for lease in issued),
        ),
        innocent_token=innocent["client_token"],
    )


def put(vault: Vault, path: str, secret: dict[str, Any]) -> None:
    """Write a new version of a KV secret as root."""
    vault.client().secrets.kv.v2.create_or_update_secret(path, secret, mount_point=KV_MOUNT)


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _database(root: hvac.Client, postgres: Postgres) -> None:
    password = postgres.password[::-1]
    _tables(postgres, password)
    root.secrets.database.configure(
        "shop",
        plugin_name="postgresql-database-plugin",
        allowed_roles="*",
        connection_url=(
            "postgresql://{{username}}:{{password}}@"
            f"{postgres.host}:{postgres.port}/{postgres.dbname}?sslmode=disable"
        ),
        username=DATABASE_ADMIN,
        password=password,
        password_authentication="scram-sha-256",  # noqa: S106
    )
    for role in DYNAMIC_ROLES.values():
        root.secrets.database.create_role(
            role,
            "shop",
            creation_statements=CREATION,
            revocation_statements=REVOCATION,
            default_ttl="1h",
            max_ttl="24h",
        )
    root.secrets.database.create_static_role(
        STATIC_ROLE, "shop", username="loyalty_service", rotation_statements=[], rotation_period="24h"
    )


def _tables(postgres: Postgres, password: str) -> None:
    """The retailer's order archive, owned by the role through which Vault manages logins.

    May run again on the same PostgreSQL for a fresh Vault: logins of the earlier one are left as they are.
    """
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE_ADMIN]).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"), sql.Identifier(DATABASE_ADMIN), sql.Literal(password)
            )
        )
        if known:
            return
        connection.execute(f"GRANT pg_signal_backend TO {DATABASE_ADMIN}")
        connection.execute(f"ALTER DATABASE {postgres.dbname} OWNER TO {DATABASE_ADMIN}")
        connection.execute(f"ALTER SCHEMA public OWNER TO {DATABASE_ADMIN}")
    with psycopg.connect(postgres.dsn(DATABASE_ADMIN, password), autocommit=True) as connection:
        connection.execute("CREATE ROLE loyalty_service LOGIN PASSWORD 'to-be-rotated'")
        connection.execute(
            "CREATE TABLE order_archive (order_number text PRIMARY KEY, email text NOT NULL, total numeric)"
        )
        connection.execute(
            "INSERT INTO order_archive SELECT 'A-' || n, 'customer' || n || '@example.com', n * 1.5 "
            "FROM generate_series(1, 500) n"
        )
        connection.execute("GRANT SELECT ON order_archive TO loyalty_service")


def _creds(integration: str) -> str:
    return f"database/creds/{DYNAMIC_ROLES[integration]}"


def _role_id(root: hvac.Client, role: str) -> str:
    value: str = root.auth.approle.read_role_id(role)["data"]["role_id"]
    return value


def _secret_id(root: hvac.Client, role: str) -> str:
    value: str = root.auth.approle.generate_secret_id(role)["data"]["secret_id"]
    return value


def _login(vault: Vault, role: str) -> dict[str, Any]:
    root = vault.client()
    answer = vault.client("").auth.approle.login(_role_id(root, role), _secret_id(root, role))
    auth: dict[str, Any] = answer["auth"]
    return auth
