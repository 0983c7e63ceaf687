"""The table of API keys. Secrets arrive encrypted, and a key is never deleted, only revoked."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Row, Text, any_, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading, writing
from app.storage.tables import api_keys
from app.storage.times import to_ms, to_timestamp


class ApiKey(NamedTuple):
    """One API key; exactly one of `secret_encrypted` and `public_key` is set. None means no limit."""

    key_id: str
    account_id: int
    name: str
    scopes: tuple[str, ...]
    symbols: tuple[str, ...] | None
    ip_allow: tuple[str, ...] | None
    secret_encrypted: bytes | None
    public_key: bytes | None
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None


_BY_ID = select(api_keys).where(api_keys.c.key_id == bindparam("key_id"))
_UNREVOKED = select(api_keys.c.key_id).where(
    api_keys.c.key_id == any_(bindparam("key_ids", type_=ARRAY(Text))), api_keys.c.revoked_at.is_(None)
)


async def insert_key(source: AsyncEngine | AsyncConnection, key: ApiKey) -> None:
    """Add a key."""
    async with writing(source) as connection:
        await connection.execute(
            insert(api_keys).values(
                key_id=key.key_id,
                account_id=key.account_id,
                name=key.name,
                scopes=list(key.scopes),
                symbols=None if key.symbols is None else list(key.symbols),
                ip_allow=None if key.ip_allow is None else list(key.ip_allow),
                secret_encrypted=key.secret_encrypted,
                public_key=key.public_key,
                created_at=to_timestamp(key.created_at_ms),
                expires_at=None if key.expires_at_ms is None else to_timestamp(key.expires_at_ms),
                revoked_at=None if key.revoked_at_ms is None else to_timestamp(key.revoked_at_ms),
            )
        )


async def get_key(source: AsyncEngine | AsyncConnection, key_id: str) -> ApiKey | None:
    """Return a key, a revoked or expired one too, or None."""
    async with reading(source) as connection:
        row = (await connection.execute(_BY_ID, {"key_id": key_id})).one_or_none()
    return None if row is None else _key(row)


async def list_keys(source: AsyncEngine | AsyncConnection, account_id: int) -> list[ApiKey]:
    """Return an account's keys, newest first."""
    query = (
        select(api_keys)
        .where(api_keys.c.account_id == account_id)
        .order_by(api_keys.c.created_at.desc(), api_keys.c.key_id)
    )
    async with reading(source) as connection:
        return [_key(row) for row in await connection.execute(query)]


async def unrevoked_keys(source: AsyncEngine | AsyncConnection, key_ids: Collection[str]) -> frozenset[str]:
    """Return those of these keys that are not revoked."""
    async with reading(source) as connection:
        return frozenset(await connection.scalars(_UNREVOKED, {"key_ids": list(key_ids)}))


async def revoke_key(source: AsyncEngine | AsyncConnection, key_id: str, *, account_id: int, at_ms: int) -> bool:
    """Revoke an account's key; the first revocation's time stays. Returns whether the account has such a key."""
    statement = (
        update(api_keys)
        .where(api_keys.c.key_id == key_id, api_keys.c.account_id == account_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, to_timestamp(at_ms)))
    )
    async with writing(source) as connection:
        return (await connection.execute(statement)).rowcount == 1


def _key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        account_id=row.account_id,
        name=row.name,
        scopes=tuple(row.scopes),
        symbols=None if row.symbols is None else tuple(row.symbols),
        ip_allow=None if row.ip_allow is None else tuple(row.ip_allow),
        secret_encrypted=row.secret_encrypted,
        public_key=row.public_key,
        created_at_ms=to_ms(row.created_at),
        expires_at_ms=None if row.expires_at is None else to_ms(row.expires_at),
        revoked_at_ms=None if row.revoked_at is None else to_ms(row.revoked_at),
    )
