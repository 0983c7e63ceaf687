"""Who may do what in the database: four group roles, and the logins that processes connect with.

The groups own the tables (migrator) or have exactly the grants that migrations/versions give them (engine,
projector, api). A login is a member of one group and has nothing of its own, so passwords change without
touching a grant. `prepare` runs inside every migration; `create_logins` is an administrator's act.
"""

import base64
import hmac
import os
from collections.abc import Mapping
from hashlib import pbkdf2_hmac, sha256
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from app.errors import StartupError
from app.storage.database import CONNECT_FAULTS, CONNECT_TIMEOUT_S, asyncpg_dsn, cannot_use, server_place

ROLES = ("migrator", "engine", "projector", "api")
"""What a login may be; `worker` processes are projectors."""
GROUP_PREFIX = "orderwire_"
SCRAM_ITERATIONS = 4096
LOGINS_LOCK = 0x6C6F67696E73
"""Advisory lock of whoever makes logins ("logins" in ASCII): two at once would disturb each other."""
_SALT_BYTES = 16

PREPARE = f"""
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{", ".join(f"'{GROUP_PREFIX}{role}'" for role in ROLES)}] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Roles belong to the whole server: the migration of another database was faster.
                NULL;
            END;
        END IF;
    END LOOP;
    IF NOT has_database_privilege('{GROUP_PREFIX}migrator', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO {GROUP_PREFIX}migrator', current_database());
    END IF;
    IF NOT has_schema_privilege('{GROUP_PREFIX}migrator', 'public', 'CREATE') THEN
        GRANT USAGE, CREATE ON SCHEMA public TO {GROUP_PREFIX}migrator;
    END IF;
    BEGIN
        SET LOCAL ROLE {GROUP_PREFIX}migrator;
    EXCEPTION WHEN insufficient_privilege THEN
        -- Who may create roles administers the new ones, but is no member yet.
        GRANT {GROUP_PREFIX}migrator TO CURRENT_USER;
        SET LOCAL ROLE {GROUP_PREFIX}migrator;
    END;
END
$$
"""
"""Makes what is missing, and lets the rest of the transaction act as the owner of all tables.

The first time it takes a user who owns the database and may create roles; after that any member of the migrator group.
"""

_EXISTS = "SELECT true FROM pg_roles WHERE rolname = $1"


def login_name(prefix: str, role: str) -> str:
    """Return the name of a role's login."""
    return f"{prefix}_{role}"


def login_url(url: str, prefix: str, role: str, password: str) -> str:
    """Return the URL of the same database for a role's login."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login_name(prefix, role)}:{quote(password, safe='')}@{place}"))


async def create_logins(url: str, prefix: str, passwords: Mapping[str, str]) -> None:
    """Make a login for each role of `passwords`, or give the one that is there the password. Raises StartupError.

    `url` must be of a user who may create roles, on a server where a migration ran.
    """
    try:
        connection = await asyncpg.connect(asyncpg_dsn(url), timeout=CONNECT_TIMEOUT_S)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", LOGINS_LOCK)
            for role, password in passwords.items():
                await _create_login(connection, login_name(prefix, role), f"{GROUP_PREFIX}{role}", password)
        finally:
            await connection.close()
    except CONNECT_FAULTS as fault:
        raise cannot_use(server_place(url), fault) from fault


async def _create_login(
    connection: "asyncpg.Connection[asyncpg.Record]", login: str, group: str, password: str
) -> None:
    name = '"' + login.replace('"', '""') + '"'
    verb = "ALTER" if await connection.fetchval(_EXISTS, login) else "CREATE"
    # The verifier, not the password: statements may be logged.
    await connection.execute(f"{verb} ROLE {name} LOGIN PASSWORD '{scram_verifier(password)}'")
    await connection.execute(f"GRANT {group} TO {name}")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL keeps of an ASCII password (RFC 5803, SCRAM-SHA-256)."""
    if not password.isascii():
        raise StartupError("expected a password of ASCII characters")
    salt = os.urandom(_SALT_BYTES)
    salted = pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored_key = sha256(hmac.digest(salted, b"Client Key", sha256)).digest()
    server_key = hmac.digest(salted, b"Server Key", sha256)
    texts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{texts[0]}${texts[1]}:{texts[2]}"
