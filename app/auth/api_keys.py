"""API keys: made, listed, revoked, and opened for the authenticator.

A replica keeps opened keys for 4 s, so the hot path needs no query per request, and a revocation
holds everywhere within 5 s: a session that was opened with a kept key is found a second later.
The cache is bounded; unknown keys are never kept, so inventing them pushes nothing out.
"""

import secrets
from collections import OrderedDict
from collections.abc import Collection

import msgspec

from app.auth.clock import Clock, wall_clock_ms
from app.auth.key_grant import Network, granted, parse_networks
from app.auth.secret_box import SecretBox
from app.auth.signatures import parse_public_key
from app.auth.stores import KeyStore
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.schemas import ApiKeyRequest
from app.protocol.shapes import timestamp_text
from app.storage.api_keys import ApiKey

CACHE_TTL_MS = 4_000
CACHE_KEYS_MAX = 10_000
KEYS_PER_ACCOUNT_MAX = 50
KEY_ID_PREFIX = "ow_"
KEY_ID_BYTES = 15
SECRET_BYTES = 32


class KeyShape(msgspec.Struct, kw_only=True):
    """An API key as its owner sees it, without any secret."""

    key: str
    name: str
    scopes: list[str]
    symbols: list[str] | None
    ip_allow: list[str] | None
    algorithm: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class CreatedKey(KeyShape, kw_only=True):
    """A new key with its secret, which is shown this once; null for an Ed25519 key."""

    secret: str | None


class OpenedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key ready to verify with; exactly one of `secret` and `public_key` is set."""

    stored: ApiKey
    principal: Principal
    networks: tuple[Network, ...] | None
    secret: str | None
    public_key: bytes | None


class ApiKeys:
    """The keys of all accounts."""

    def __init__(
        self, store: KeyStore, box: SecretBox, *, clock: Clock = wall_clock_ms, cache_keys_max: int = CACHE_KEYS_MAX
    ) -> None:
        self._store = store
        self._box = box
        self._clock = clock
        self._cache: OrderedDict[str, tuple[int, OpenedKey]] = OrderedDict()
        self._cache_keys_max = cache_keys_max

    async def create(self, maker: Principal, request: ApiKeyRequest, *, account_id: int | None = None) -> CreatedKey:
        """Make a key for the maker's account, or as an administrator for another. Raises ApiError."""
        owner = maker.account_id if account_id is None else account_id
        existing = await self._store.of_account(owner)
        if sum(key.revoked_at_ms is None for key in existing) >= KEYS_PER_ACCOUNT_MAX:
            raise ApiError(
                "forbidden",
                "The account has too many keys; revoke one first.",
                limit=str(KEYS_PER_ACCOUNT_MAX),
            )
        making_key = None if maker.key_id is None else await self.opened(maker.key_id)
        now_ms = self._clock()
        grant = granted(
            request, maker, maker_ip_allow=making_key.stored.ip_allow if making_key else None, now_ms=now_ms
        )
        key_id = KEY_ID_PREFIX + secrets.token_urlsafe(KEY_ID_BYTES)
        public_key = None if request.public_key is None else parse_public_key(request.public_key)
        secret = secrets.token_urlsafe(SECRET_BYTES) if public_key is None else None
        stored = ApiKey(
            key_id=key_id,
            account_id=owner,
            name=request.name,
            scopes=grant.scopes,
            symbols=grant.symbols,
            ip_allow=grant.ip_allow,
            secret_encrypted=None if secret is None else self._box.seal(secret, bound_to=key_id),
            public_key=public_key,
            created_at_ms=now_ms,
            expires_at_ms=grant.expires_at_ms,
            revoked_at_ms=None,
        )
        await self._store.insert(stored)
        return CreatedKey(**msgspec.structs.asdict(_shape(stored)), secret=secret)

    async def of_account(self, account_id: int) -> list[KeyShape]:
        """Return an account's keys, newest first, revoked ones too."""
        return [_shape(stored) for stored in await self._store.of_account(account_id)]

    async def revoke(self, principal: Principal, key_id: str) -> KeyShape:
        """Revoke a key of the caller's account that can do no more than the caller; repeating it changes nothing.

        Other replicas follow within the cache's lifetime. Raises ApiError.
        """
        stored = await self._store.get(key_id)
        if stored is None or stored.account_id != principal.account_id:
            raise ApiError("not_found", "There is no such key.")
        if not principal.scopes.issuperset(stored.scopes):
            raise ApiError("missing_scope", "The key can do more than the credentials that would revoke it.")
        await self._store.revoke(key_id, account_id=principal.account_id, at_ms=self._clock())
        self._cache.pop(key_id, None)
        revoked = await self._store.get(key_id)
        return _shape(revoked or stored)

    def has_seen(self, key_id: str) -> bool:
        """Return whether a key was good when it was looked up last; nothing is looked up for it."""
        return key_id in self._cache

    async def opened(self, key_id: str) -> OpenedKey | None:
        """Return a usable key, or None if it is unknown, revoked or expired."""
        now_ms = self._clock()
        cached = self._cache.get(key_id)
        if cached is not None and 0 <= now_ms - cached[0] < CACHE_TTL_MS:
            self._cache.move_to_end(key_id)
            opened = cached[1]
        else:
            self._cache.pop(key_id, None)
            stored = await self._store.get(key_id)
            if stored is None or stored.revoked_at_ms is not None:
                return None
            opened = self._open(stored)
            self._cache[key_id] = (now_ms, opened)
            if len(self._cache) > self._cache_keys_max:
                self._cache.popitem(last=False)
        expires_at_ms = opened.stored.expires_at_ms
        return None if expires_at_ms is not None and expires_at_ms <= now_ms else opened

    async def revoked(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return those of these keys that are revoked, and keep none of them open."""
        gone = frozenset(key_ids) - await self._store.unrevoked(key_ids)
        for key_id in gone:
            self._cache.pop(key_id, None)
        return gone

    def _open(self, stored: ApiKey) -> OpenedKey:
        box = stored.secret_encrypted
        return OpenedKey(
            stored=stored,
            principal=Principal(
                account_id=stored.account_id,
                scopes=frozenset(stored.scopes),
                symbols=None if stored.symbols is None else frozenset(stored.symbols),
                key_id=stored.key_id,
                expires_at_ms=stored.expires_at_ms,
            ),
            networks=None if stored.ip_allow is None else parse_networks(stored.ip_allow),
            secret=None if box is None else self._box.open(box, bound_to=stored.key_id),
            public_key=stored.public_key,
        )


def _shape(stored: ApiKey) -> KeyShape:
    def text(at_ms: int | None) -> str | None:
        return None if at_ms is None else timestamp_text(at_ms * 1_000_000)

    return KeyShape(
        key=stored.key_id,
        name=stored.name,
        scopes=list(stored.scopes),
        symbols=None if stored.symbols is None else list(stored.symbols),
        ip_allow=None if stored.ip_allow is None else list(stored.ip_allow),
        algorithm="hmac-sha256" if stored.public_key is None else "ed25519",
        created_at=timestamp_text(stored.created_at_ms * 1_000_000),
        expires_at=text(stored.expires_at_ms),
        revoked_at=text(stored.revoked_at_ms),
    )
