"""API keys in the table: found by id, listed by account, revoked once."""

import asyncpg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.api_keys import ApiKey, get_key, insert_key, list_keys, revoke_key, unrevoked_keys

AT_MS = 1_700_000_000_123


def key(key_id: str, account_id: int, created_at_ms: int = AT_MS) -> ApiKey:
    return ApiKey(
        key_id=key_id,
        account_id=account_id,
        name="bot",
        scopes=("read", "trade"),
        symbols=("BTC-USD",),
        ip_allow=("10.0.0.0/8", "::1/128"),
        secret_encrypted=b"\x00\x01",
        public_key=None,
        created_at_ms=created_at_ms,
        expires_at_ms=AT_MS + 1,
        revoked_at_ms=None,
    )


async def test_a_key_comes_back_as_it_was_given(engine: AsyncEngine) -> None:
    limited = key("k-limited", 1)
    free = limited._replace(
        key_id="k-free", symbols=None, ip_allow=None, expires_at_ms=None, secret_encrypted=None, public_key=b"p" * 32
    )
    await insert_key(engine, limited)
    await insert_key(engine, free)

    assert await get_key(engine, "k-limited") == limited
    assert await get_key(engine, "k-free") == free
    assert await get_key(engine, "k-none") is None


async def test_a_key_id_is_given_once(engine: AsyncEngine) -> None:
    await insert_key(engine, key("k-once", 2))

    with pytest.raises(IntegrityError):
        await insert_key(engine, key("k-once", 3))


async def test_an_account_lists_its_own_keys_newest_first(engine: AsyncEngine) -> None:
    for number in range(3):
        await insert_key(engine, key(f"k-list-{number}", 4, AT_MS + number))
    await insert_key(engine, key("k-list-other", 5))

    assert [row.key_id for row in await list_keys(engine, 4)] == ["k-list-2", "k-list-1", "k-list-0"]


async def test_a_key_is_revoked_by_its_account_and_the_first_time_stays(engine: AsyncEngine) -> None:
    await insert_key(engine, key("k-revoke", 6))

    assert not await revoke_key(engine, "k-revoke", account_id=7, at_ms=AT_MS + 1)
    assert not await revoke_key(engine, "k-nothing", account_id=6, at_ms=AT_MS + 1)
    assert await revoke_key(engine, "k-revoke", account_id=6, at_ms=AT_MS + 2)
    assert await revoke_key(engine, "k-revoke", account_id=6, at_ms=AT_MS + 3)

    revoked = await get_key(engine, "k-revoke")
    assert revoked is not None
    assert revoked.revoked_at_ms == AT_MS + 2


async def test_a_write_without_an_error_is_committed(engine: AsyncEngine, module_database_url: str) -> None:
    await insert_key(engine, key("k-durable", 8))

    connection = await asyncpg.connect(module_database_url)
    assert await connection.fetchval("SELECT count(*) FROM api_keys WHERE key_id = 'k-durable'") == 1
    await connection.close()


async def test_keys_that_are_revoked_or_unknown_are_not_among_the_unrevoked(engine: AsyncEngine) -> None:
    for name in ("k-in-use", "k-ended", "k-not-asked-for"):
        await insert_key(engine, key(name, 8))
    await revoke_key(engine, "k-ended", account_id=8, at_ms=AT_MS + 1)

    assert await unrevoked_keys(engine, ["k-in-use", "k-ended", "k-none"]) == {"k-in-use"}
    assert await unrevoked_keys(engine, []) == frozenset()
