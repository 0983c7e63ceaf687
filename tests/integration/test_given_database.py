"""A database that somebody else filled is refused; an empty one is claimed and known again."""

import secrets
from collections.abc import AsyncIterator

import pytest

from app.dev.given import claim_database
from app.dev.servers import LocalServers
from app.errors import StartupError
from tests.conftest import PREFIX, administer, database_named


@pytest.fixture
async def empty_database(servers: LocalServers) -> AsyncIterator[str]:
    name = f'{PREFIX}_Given "{secrets.token_hex(4)}"'
    quoted = name.replace('"', '""')
    await administer(servers.database_url, f'CREATE DATABASE "{quoted}"')
    yield database_named(servers.database_url, name.replace('"', "%22").replace(" ", "%20"))
    await administer(servers.database_url, f'DROP DATABASE "{quoted}" WITH (FORCE)')


async def test_empty_database_is_claimed_once_and_stays_ours_when_it_is_filled(empty_database: str) -> None:
    await claim_database(empty_database)
    await administer(empty_database, "CREATE TABLE ours (value int)")
    await claim_database(empty_database)


async def test_database_with_tables_of_others_is_refused_and_left_alone(empty_database: str) -> None:
    await administer(empty_database, "CREATE TABLE theirs (value int)")
    for _ in range(2):
        with pytest.raises(StartupError, match="did not make"):
            await claim_database(empty_database)


async def test_server_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(StartupError, match="DATABASE_URL cannot be used") as refusal:
        await claim_database("postgresql://postgres:x@127.0.0.1:1/nothing")
    assert "\n" not in str(refusal.value)
