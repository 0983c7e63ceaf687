"""The key and user tables in memory, with the same promises as PostgreSQL's."""

from collections.abc import Collection
from uuid import UUID

from app.storage.api_keys import ApiKey
from app.storage.users import RefreshToken, User


class MemoryKeyStore:
    """Keys by id; counts reads, so that tests see the cache."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.reads = 0

    async def insert(self, key: ApiKey) -> None:
        assert key.key_id not in self.keys
        self.keys[key.key_id] = key

    async def get(self, key_id: str) -> ApiKey | None:
        self.reads += 1
        return self.keys.get(key_id)

    async def of_account(self, account_id: int) -> list[ApiKey]:
        return [key for key in reversed(self.keys.values()) if key.account_id == account_id]

    async def unrevoked(self, key_ids: Collection[str]) -> frozenset[str]:
        self.reads += 1
        return frozenset(key_id for key_id in key_ids if self.keys[key_id].revoked_at_ms is None)

    async def revoke(self, key_id: str, *, account_id: int, at_ms: int) -> bool:
        key = self.keys.get(key_id)
        if key is None or key.account_id != account_id:
            return False
        if key.revoked_at_ms is None:
            self.keys[key_id] = key._replace(revoked_at_ms=at_ms)
        return True


class MemoryUserStore:
    """Users and refresh tokens."""

    def __init__(self) -> None:
        self.users: dict[int, User] = {}
        self.tokens: dict[bytes, RefreshToken] = {}

    async def user_by_email(self, email: str) -> User | None:
        return next((user for user in self.users.values() if user.email == email), None)

    async def user_by_id(self, user_id: int) -> User | None:
        return self.users.get(user_id)

    async def insert_user(self, *, email: str, password_hash: str, account_id: int, scopes: tuple[str, ...]) -> bool:
        if await self.user_by_email(email) is not None:
            return False
        user_id = len(self.users) + 1
        self.users[user_id] = User(
            user_id=user_id, email=email, password_hash=password_hash, account_id=account_id, scopes=scopes
        )
        return True

    async def insert_token(self, token: RefreshToken) -> None:
        self.tokens.setdefault(token.token_hash, token)

    async def token(self, token_hash: bytes) -> RefreshToken | None:
        return self.tokens.get(token_hash)

    async def use_token(self, token_hash: bytes, *, at_ms: int) -> bool:
        token = self.tokens.get(token_hash)
        if token is None or token.used_at_ms is not None or token.revoked_at_ms is not None:
            return False
        self.tokens[token_hash] = token._replace(used_at_ms=at_ms)
        return True

    async def revoke_family(self, family_id: UUID, *, at_ms: int) -> None:
        for token_hash, token in self.tokens.items():
            if token.family_id == family_id and token.revoked_at_ms is None:
                self.tokens[token_hash] = token._replace(revoked_at_ms=at_ms)
