"""The tables of users and of their refresh tokens. Passwords and tokens arrive hashed.

The tokens of one login are a family: each is used once, and a family is revoked as a whole.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.storage.database import reading, writing
from app.storage.tables import refresh_tokens, users
from app.storage.times import to_ms, to_timestamp


class User(NamedTuple):
    """A person who signs in; the email is in lower case."""

    user_id: int
    email: str
    password_hash: str
    account_id: int
    scopes: tuple[str, ...]


class RefreshToken(NamedTuple):
    """One refresh token of a family."""

    token_hash: bytes
    family_id: UUID
    user_id: int
    expires_at_ms: int
    used_at_ms: int | None
    revoked_at_ms: int | None


_USER = select(users.c.user_id, users.c.email, users.c.password_hash, users.c.account_id, users.c.scopes)


async def user_by_email(source: AsyncEngine | AsyncConnection, email: str) -> User | None:
    """Return a user, or None. The case of the email does not matter."""
    return await _user(source, _USER.where(users.c.email == email.lower()))


async def user_by_id(source: AsyncEngine | AsyncConnection, user_id: int) -> User | None:
    """Return a user, or None."""
    return await _user(source, _USER.where(users.c.user_id == user_id))


async def insert_user(
    source: AsyncEngine | AsyncConnection, *, email: str, password_hash: str, account_id: int, scopes: tuple[str, ...]
) -> bool:
    """Add a user; returns False if the email is taken."""
    statement = (
        insert(users)
        .values(email=email.lower(), password_hash=password_hash, account_id=account_id, scopes=list(scopes))
        .on_conflict_do_nothing(index_elements=[users.c.email])
    )
    async with writing(source) as connection:
        return (await connection.execute(statement)).rowcount == 1


async def insert_token(source: AsyncEngine | AsyncConnection, token: RefreshToken) -> None:
    """Add a refresh token; one that is there already stays as it is."""
    statement = (
        insert(refresh_tokens)
        .values(
            token_hash=token.token_hash,
            family_id=token.family_id,
            user_id=token.user_id,
            expires_at=to_timestamp(token.expires_at_ms),
            used_at=None if token.used_at_ms is None else to_timestamp(token.used_at_ms),
            revoked_at=None if token.revoked_at_ms is None else to_timestamp(token.revoked_at_ms),
        )
        .on_conflict_do_nothing()
    )
    async with writing(source) as connection:
        await connection.execute(statement)


async def get_token(source: AsyncEngine | AsyncConnection, token_hash: bytes) -> RefreshToken | None:
    """Return a refresh token, a used, revoked or expired one too, or None."""
    query = select(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash)
    async with reading(source) as connection:
        row = (await connection.execute(query)).one_or_none()
    return None if row is None else _token(row)


async def use_token(source: AsyncEngine | AsyncConnection, token_hash: bytes, *, at_ms: int) -> bool:
    """Mark a token as used if it is neither used nor revoked; returns whether this call did it."""
    statement = (
        update(refresh_tokens)
        .where(
            refresh_tokens.c.token_hash == token_hash,
            refresh_tokens.c.used_at.is_(None),
            refresh_tokens.c.revoked_at.is_(None),
        )
        .values(used_at=to_timestamp(at_ms))
    )
    async with writing(source) as connection:
        return (await connection.execute(statement)).rowcount == 1


async def revoke_family(source: AsyncEngine | AsyncConnection, family_id: UUID, *, at_ms: int) -> None:
    """Revoke every token of a family that is not revoked yet."""
    statement = (
        update(refresh_tokens)
        .where(refresh_tokens.c.family_id == family_id, refresh_tokens.c.revoked_at.is_(None))
        .values(revoked_at=to_timestamp(at_ms))
    )
    async with writing(source) as connection:
        await connection.execute(statement)


async def _user(source: AsyncEngine | AsyncConnection, query: Select[*tuple[Any, ...]]) -> User | None:
    async with reading(source) as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return User(row.user_id, row.email, row.password_hash, row.account_id, tuple(row.scopes))


def _token(row: Row[*tuple[Any, ...]]) -> RefreshToken:
    return RefreshToken(
        token_hash=row.token_hash,
        family_id=row.family_id,
        user_id=row.user_id,
        expires_at_ms=to_ms(row.expires_at),
        used_at_ms=None if row.used_at is None else to_ms(row.used_at),
        revoked_at_ms=None if row.revoked_at is None else to_ms(row.revoked_at),
    )
