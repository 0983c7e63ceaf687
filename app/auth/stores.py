"""The tables that authentication stands on, as two small Protocols and their PostgreSQL side.

Tests put memory behind the same Protocols; `bootstrap` puts the database there.
"""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage import api_keys, users
from app.storage.api_keys import ApiKey
from app.storage.users import RefreshToken, User


class KeyStore(Protocol):
    """The table of API keys."""

    async def insert(self, key: ApiKey) -> None:
        """Add a key."""

    async def get(self, key_id: str) -> ApiKey | None:
        """Return a key, revoked ones too, or None."""

    async def of_account(self, account_id: int) -> list[ApiKey]:
        """Return an account's keys, newest first."""

    async def unrevoked(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return those of these keys that are not revoked."""

    async def revoke(self, key_id: str, *, account_id: int, at_ms: int) -> bool:
        """Revoke an account's key, once; returns whether the account has such a key."""


class UserStore(Protocol):
    """The tables of users and refresh tokens."""

    async def user_by_email(self, email: str) -> User | None:
        """Return a user, or None."""

    async def user_by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""

    async def insert_user(self, *, email: str, password_hash: str, account_id: int, scopes: tuple[str, ...]) -> bool:
        """Add a user; returns False if the email is taken."""

    async def insert_token(self, token: RefreshToken) -> None:
        """Add a refresh token; one that is there already stays as it is."""

    async def token(self, token_hash: bytes) -> RefreshToken | None:
        """Return a refresh token, or None."""

    async def use_token(self, token_hash: bytes, *, at_ms: int) -> bool:
        """Mark a token as used if it is neither used nor revoked; returns whether this call did it."""

    async def revoke_family(self, family_id: UUID, *, at_ms: int) -> None:
        """Revoke every token of a family."""


class DatabaseKeyStore:
    """API keys in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def insert(self, key: ApiKey) -> None:
        """Add a key."""
        await api_keys.insert_key(self._engine, key)

    async def get(self, key_id: str) -> ApiKey | None:
        """Return a key, revoked ones too, or None."""
        return await api_keys.get_key(self._engine, key_id)

    async def of_account(self, account_id: int) -> list[ApiKey]:
        """Return an account's keys, newest first."""
        return await api_keys.list_keys(self._engine, account_id)

    async def unrevoked(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return those of these keys that are not revoked."""
        return await api_keys.unrevoked_keys(self._engine, key_ids)

    async def revoke(self, key_id: str, *, account_id: int, at_ms: int) -> bool:
        """Revoke an account's key, once; returns whether the account has such a key."""
        return await api_keys.revoke_key(self._engine, key_id, account_id=account_id, at_ms=at_ms)


class DatabaseUserStore:
    """Users and refresh tokens in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def user_by_email(self, email: str) -> User | None:
        """Return a user, or None."""
        return await users.user_by_email(self._engine, email)

    async def user_by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""
        return await users.user_by_id(self._engine, user_id)

    async def insert_user(self, *, email: str, password_hash: str, account_id: int, scopes: tuple[str, ...]) -> bool:
        """Add a user; returns False if the email is taken."""
        return await users.insert_user(
            self._engine, email=email, password_hash=password_hash, account_id=account_id, scopes=scopes
        )

    async def insert_token(self, token: RefreshToken) -> None:
        """Add a refresh token; one that is there already stays as it is."""
        await users.insert_token(self._engine, token)

    async def token(self, token_hash: bytes) -> RefreshToken | None:
        """Return a refresh token, or None."""
        return await users.get_token(self._engine, token_hash)

    async def use_token(self, token_hash: bytes, *, at_ms: int) -> bool:
        """Mark a token as used if it is neither used nor revoked; returns whether this call did it."""
        return await users.use_token(self._engine, token_hash, at_ms=at_ms)

    async def revoke_family(self, family_id: UUID, *, at_ms: int) -> None:
        """Revoke every token of a family."""
        await users.revoke_family(self._engine, family_id, at_ms=at_ms)
