"""Who sent this: the one `ports.Authenticator`, for REST and the stream alike."""

import re
from collections.abc import Collection

from app.auth.api_keys import ApiKeys, OpenedKey
from app.auth.clock import Clock, wall_clock_ms
from app.auth.key_grant import address_allowed
from app.auth.signatures import check_window, ed25519_fits, hmac_fits, signed_text
from app.auth.tokens import AccessTokens
from app.domain.identity import Principal
from app.errors import ApiError

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class CredentialsAuthenticator:
    """Authenticates access tokens and signatures of API keys."""

    def __init__(self, tokens: AccessTokens, keys: ApiKeys, *, clock: Clock = wall_clock_ms) -> None:
        self._tokens = tokens
        self._keys = keys
        self._clock = clock

    async def by_token(self, token: str) -> Principal:
        """Return who an access token speaks for. Raises ApiError."""
        return self._tokens.verify(token)

    async def by_signature(
        self,
        *,
        key: str,
        timestamp: str,
        recv_window: str | None,
        signature: str,
        method: str,
        target: str,
        body: bytes,
        address: str | None,
    ) -> Principal:
        """Return who signed the request with an API key. Raises ApiError."""
        check_window(timestamp, recv_window, now_ms=self._clock())
        opened = await self._keys.opened(key) if _KEY_ID.fullmatch(key) else None
        if opened is None:
            raise ApiError("unauthenticated", "The API key is unknown, revoked or expired.")
        if not _fits(opened, signed_text(timestamp, method, target, body), signature):
            raise ApiError("invalid_signature", "The signature does not match timestamp + METHOD + path?query + body.")
        # Told only to who holds the secret: the list itself is nobody else's business.
        if opened.networks is not None and not address_allowed(address, opened.networks):
            raise ApiError("forbidden", "The API key may not be used from this address.")
        return opened.principal

    async def revoked_keys(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return those of these API keys that are revoked by now, not from a cache."""
        return await self._keys.revoked(key_ids)


def _fits(opened: OpenedKey, text: bytes, signature: str) -> bool:
    if opened.public_key is not None:
        return ed25519_fits(opened.public_key, text, signature)
    assert opened.secret is not None, "expected a key to have a secret or a public key"  # noqa: S101  # by construction
    return hmac_fits(opened.secret, text, signature)
