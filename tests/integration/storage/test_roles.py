"""What each database role may do, and what is refused whoever asks."""

import asyncpg
import pytest

from app.cli.roles import app as cli
from app.storage.roles import ROLES, scram_verifier
from tests.database_roles import as_role

READ, GROW, KEEP = "SELECT", "SELECT INSERT", "SELECT INSERT UPDATE"
ALL = "SELECT INSERT UPDATE DELETE"
PROJECTED = {
    **dict.fromkeys(
        (
            "account_events",
            "audit",
            "epochs",
            "fills",
            "ledger_entries",
            "trades",
            "transfers",
        ),
        GROW,
    ),
    **dict.fromkeys(
        (
            "accounts",
            "assets",
            "balances",
            "instruments",
            "limits",
            "orders",
            "positions",
            "projection_cursors",
        ),
        KEEP,
    ),
}
ALLOWED = {
    "engine": {
        "journal": GROW,
        "journal_partitions": READ,
        "shard_head": KEEP,
        "checkpoints": ALL,
        "quarantine": ALL,
        "projection_cursors": READ,
        "alembic_version": READ,
    },
    "projector": {"journal": READ, "shard_head": READ, "checkpoints": ALL, "alembic_version": READ, **PROJECTED},
    "api": {
        **dict.fromkeys(("journal", "shard_head", "alembic_version", *PROJECTED), READ),
        **dict.fromkeys(("api_keys", "refresh_tokens", "users"), KEEP),
    },
}
"""Table by table; whatever is not here is refused."""
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

ROW = "(shard, last_seq, first_seq, term, prev_hash, hash, engine_version, timestamp_ns, body)"
INSERT_ROW = f"INSERT INTO journal {ROW} VALUES (31000, 1, 1, 1, '', '', 1, 1, '')"  # noqa: S608  # constant
CHANGES = {
    "update": "UPDATE journal SET body = body",
    "delete": "DELETE FROM journal",
    "truncate": "TRUNCATE journal",
    "drop the trigger": "DROP TRIGGER journal_append_only ON journal",
    "disable the trigger": "ALTER TABLE journal DISABLE TRIGGER journal_append_only",
    "drop": "DROP TABLE journal",
    "replace the function": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
}
TRESPASSES = {
    "engine": (
        "SELECT 1 FROM users",
        "SELECT 1 FROM api_keys",
        "UPDATE balances SET held = 0",
        "DELETE FROM shard_head",
    ),
    "projector": (
        INSERT_ROW,
        "UPDATE shard_head SET term = term + 1",
        "SELECT 1 FROM api_keys",
        "UPDATE account_events SET event = ''",
        "DELETE FROM fills",
        "DELETE FROM orders",
    ),
    "api": (
        INSERT_ROW,
        "UPDATE shard_head SET owner = 'me'",
        "SELECT 1 FROM checkpoints",
        "UPDATE balances SET available = 1",
        "INSERT INTO trades SELECT * FROM trades",
        "DELETE FROM users",
        "DELETE FROM api_keys",
    ),
}


async def attempt(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ALLOWED)
async def test_a_role_may_do_exactly_what_its_part_needs(role: str, module_database_url: str) -> None:
    connection = await asyncpg.connect(as_role(module_database_url, role))
    tables = [row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert set(ALLOWED[role]) <= set(tables)
    for table in tables:
        rows = [
            privilege
            for privilege in PRIVILEGES
            if await connection.fetchval("SELECT has_table_privilege($1, $2)", table, privilege)
        ]
        assert rows == ALLOWED[role].get(table, "").split(), table
    assert not await connection.fetchval("SELECT has_schema_privilege('public', 'CREATE')")
    assert not await connection.fetchval("SELECT has_database_privilege(current_database(), 'CREATE')")
    await connection.close()


@pytest.mark.parametrize(("role", "statement"), [(role, each) for role, them in TRESPASSES.items() for each in them])
async def test_what_belongs_to_another_role_is_refused(role: str, statement: str, module_database_url: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attempt(as_role(module_database_url, role), statement)


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("change", CHANGES)
async def test_nobody_but_the_owner_gets_near_the_rows_of_the_journal(
    role: str, change: str, module_database_url: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attempt(as_role(module_database_url, role), CHANGES[change])


@pytest.mark.parametrize("change", ["update", "delete", "truncate"])
async def test_the_owner_and_the_superuser_are_stopped_by_the_trigger(change: str, module_database_url: str) -> None:
    for url in (as_role(module_database_url, "migrator"), module_database_url):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="journal is append-only"):
            await attempt(url, CHANGES[change])


async def test_a_login_holds_no_privilege_of_its_own_and_is_no_administrator(module_database_url: str) -> None:
    connection = await asyncpg.connect(module_database_url)
    for role in ROLES:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls "
            "FROM pg_roles WHERE rolname = $1",
            f"orderwire_test_{role}",
        )
        assert row is not None
        assert not any(row.values()), role
    await connection.close()


async def test_a_login_cannot_become_another_role(module_database_url: str) -> None:
    for role in ALLOWED:
        for other in set(ROLES) - {role}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await attempt(as_role(module_database_url, role), f"SET ROLE orderwire_{other}")


def test_the_verifier_shows_no_password_and_differs_each_time() -> None:
    first, second = scram_verifier("a password"), scram_verifier("a password")
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert first != second
    assert "a password" not in first


def test_the_command_that_makes_logins_exists() -> None:
    groups = {group.name: group.typer_instance for group in cli.registered_groups}
    admin = groups["admin"]
    assert admin is not None
    assert "create-logins" in {command.name for command in admin.registered_commands}
