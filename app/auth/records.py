"""What authentication keeps in the database, and the two small Protocols it reaches it through.

Times are Unix milliseconds. The tables are `api_keys`, `users` and `refresh_tokens`; secrets arrive
here already encrypted, tokens and passwords already hashed.
"""

from typing import Protocol
from uuid import UUID

import msgspec


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """One API key; exactly one of `secret_encrypted` and `public_key` is set."""

    key_id: str
    account_id: int
    name: str
    scopes: tuple[str, ...]
    symbols: tuple[str, ...] | None = None
    ip_allow: tuple[str, ...] | None = None
    secret_encrypted: bytes | None = None
    public_key: bytes | None = None
    created_at_ms: int
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None


class KeyStore(Protocol):
    """The table of API keys."""

    async def insert(self, key: StoredKey) -> None:
        """Add a key."""

    async def get(self, key_id: str) -> StoredKey | None:
        """Return a key, revoked ones too, or None."""

    async def of_account(self, account_id: int) -> list[StoredKey]:
        """Return an account's keys, newest first."""

    async def revoke(self, key_id: str, *, account_id: int, at_ms: int) -> bool:
        """Revoke an account's key, once; returns whether the account has such a key."""


class StoredUser(msgspec.Struct, frozen=True, kw_only=True):
    """A person who signs in."""

    user_id: int
    email: str
    password_hash: str
    account_id: int
    scopes: tuple[str, ...]


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """One refresh token of a family; a family is one login."""

    token_hash: bytes
    family_id: UUID
    user_id: int
    expires_at_ms: int
    used_at_ms: int | None = None
    revoked_at_ms: int | None = None


class UserStore(Protocol):
    """The tables of users and refresh tokens."""

    async def user_by_email(self, email: str) -> StoredUser | None:
        """Return a user, or None."""

    async def user_by_id(self, user_id: int) -> StoredUser | None:
        """Return a user, or None."""

    async def insert_user(self, *, email: str, password_hash: str, account_id: int, scopes: tuple[str, ...]) -> bool:
        """Add a user; returns False if the email is taken."""

    async def insert_token(self, token: StoredToken) -> None:
        """Add a refresh token; one that is there already stays as it is."""

    async def token(self, token_hash: bytes) -> StoredToken | None:
        """Return a refresh token, or None."""

    async def use_token(self, token_hash: bytes, *, at_ms: int) -> bool:
        """Mark a token as used if it is neither used nor revoked; returns whether this call did it."""

    async def revoke_family(self, family_id: UUID, *, at_ms: int) -> None:
        """Revoke every token of a family."""
