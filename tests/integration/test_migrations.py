"""Migrations from an empty database: complete, named by the convention, and checked by every role."""

import asyncio
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from app.dev.servers import LocalServers
from app.errors import StartupError
from app.storage.database import REVISION, create_database_engine, require_revision
from app.storage.migrate import alembic_config, upgrade
from app.storage.tables import metadata

ROOT = Path(__file__).parents[2]


def query(url: str, sql: str) -> list[asyncpg.Record]:
    """Run one statement and return its rows."""

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def refusal(url: str) -> str:
    """Return what a role would say about the database."""

    async def check() -> None:
        engine = create_database_engine(url, pool_size=1)
        try:
            await require_revision(engine)
        finally:
            await engine.dispose()

    with pytest.raises(StartupError) as refused:
        asyncio.run(check())
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def empty_url(servers: LocalServers) -> Iterator[str]:
    name = f"orderwire_test_{secrets.token_hex(6)}"
    query(servers.database_url, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    finally:
        query(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_an_empty_database_gets_every_table_and_matches_the_metadata(empty_url: str) -> None:
    upgrade(empty_url)

    tables = {
        row["tablename"] for row in query(empty_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }
    assert tables == {*metadata.tables, "alembic_version"}
    command.check(alembic_config(empty_url))


def test_every_constraint_and_index_is_named_by_the_convention(empty_url: str) -> None:
    upgrade(empty_url)

    constraints = query(
        empty_url,
        "SELECT conname AS name, conrelid::regclass::text AS of, contype::text AS kind FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    )
    indexes = query(
        empty_url,
        "SELECT indexrelid::regclass::text AS name, indrelid::regclass::text AS of, 'i' AS kind FROM pg_index "
        "JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
    )
    prefixes = {"p": "pk", "u": "uq", "f": "fk", "c": "ck", "i": "ix"}
    ours = [row for row in (*constraints, *indexes) if row["of"] != "alembic_version"]
    assert len(ours) > 20
    misnamed = [row["name"] for row in ours if not re.match(f"{prefixes[row['kind']]}_{row['of']}(_|$)", row["name"])]
    assert misnamed == []


def test_migrating_again_or_twice_at_once_changes_nothing(empty_url: str) -> None:
    code = "import sys; from app.storage.migrate import upgrade; upgrade(sys.argv[1])"
    at_once = [subprocess.Popen([sys.executable, "-c", code, empty_url], cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in at_once] == [0, 0]
    upgrade(empty_url)

    assert [row[0] for row in query(empty_url, "SELECT version_num FROM alembic_version")] == [REVISION]


def test_going_back_leaves_nothing_behind(empty_url: str) -> None:
    upgrade(empty_url)
    command.downgrade(alembic_config(empty_url), "base")

    left = query(
        empty_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%' "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    )
    assert left == []


def test_the_revision_that_roles_require_is_the_newest_migration(empty_url: str) -> None:
    assert ScriptDirectory.from_config(alembic_config(empty_url)).get_heads() == [REVISION]


def test_a_role_refuses_a_database_without_tables_and_of_another_revision(empty_url: str) -> None:
    assert "orderwire migrate" in refusal(empty_url)

    upgrade(empty_url)
    query(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    assert f"expected revision {REVISION}, was 9999" in refusal(empty_url)

    query(empty_url, "DELETE FROM alembic_version")
    assert "was none" in refusal(empty_url)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"path": "/no_such_database"}, "no_such_database", id="no database"),
        pytest.param({"netloc": "somebody:wrong-password@HOST"}, "somebody", id="wrong password"),
        pytest.param({"netloc": "somebody:wrong-password@127.0.0.1:1"}, "127.0.0.1:1", id="no server"),
    ],
)
def test_an_unusable_database_is_one_line_without_the_password(
    servers: LocalServers, change: dict[str, str], word: str
) -> None:
    parts = urlsplit(servers.database_url)
    change = {name: value.replace("HOST", f"{parts.hostname}:{parts.port}") for name, value in change.items()}
    url = urlunsplit(parts._replace(**change))

    said = refusal(url)
    with pytest.raises(StartupError) as refused:
        upgrade(url)

    for message in (said, str(refused.value)):
        assert word in message
        assert str(urlsplit(url).password) not in message
        assert "\n" not in message


def test_alembic_itself_works_from_the_checkout(empty_url: str) -> None:
    upgrade(empty_url)

    done = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        cwd=ROOT,
        env={"DATABASE_URL": empty_url, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "No new upgrade operations" in done.stdout + done.stderr


def test_serving_does_not_import_alembic() -> None:
    code = "import sys, app.storage.database, app.storage.migrate, app.storage.tables; print('alembic' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "False"
