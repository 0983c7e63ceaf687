"""Access tokens: short-lived signed claims, the only module that touches python-jose.

The library's openings are closed here: one literal algorithm, a key object (never text that it
might read as JSON or PEM), every claim required, one exact header, a bounded size, canonical
base64url only. Whatever does not fit is `unauthenticated`; only age is told apart (`token_expired`).
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from jose import jwk, jwt
from jose.exceptions import ExpiredSignatureError, JOSEError

from app.auth.clock import Clock, wall_clock_ms
from app.domain.identity import Principal
from app.errors import ApiError, StartupError

ALGORITHM = "HS256"
TOKEN_BYTES_MAX = 4096
KEY_BYTES_MIN = 32
ACCESS_TOKEN_SECONDS = 15 * 60
VERIFIED_MAX = 10_000
"""Tokens that are remembered as verified: to verify one anew takes 50 us, a twentieth of a request."""
ISSUER = "orderwire"
AUDIENCE = "orderwire-api"
_HEADER = {"alg": ALGORITHM, "typ": "at+jwt"}
"""The whole header of every token of ours: anything else in it (crit, jku, jwk, kid) refuses the token."""
_REQUIRED = ("exp", "iat", "sub", "aud", "iss", "jti")
_OPTIONS = {f"require_{claim}": True for claim in _REQUIRED}
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class _Claims(msgspec.Struct, frozen=True):
    """What a token says, with the types we wrote; `sub` is the user."""

    sub: str
    exp: int
    iat: int
    aud: str
    iss: str
    jti: str
    account: int
    scope: str


class AccessTokens:
    """Issues and verifies access tokens under one secret."""

    def __init__(self, secret: str, *, clock: Clock = wall_clock_ms) -> None:
        """Raises StartupError when the secret is too short or has the form of another kind of key."""
        key = secret.encode()
        if len(key) < KEY_BYTES_MIN:
            raise StartupError(f"JWT_SECRET: expected {KEY_BYTES_MIN} bytes or more, was {len(key)}")
        try:
            # A key object: given text, the library would try to read it as JSON first.
            self._key = jwk.construct(key, ALGORITHM)
        except JOSEError as error:
            raise StartupError("JWT_SECRET: expected a random secret, was a public key or certificate") from error
        self._clock = clock
        self._verified: dict[str, Principal] = {}
        """Good tokens and who they speak for, the oldest first; what a token says changes only by its age."""

    def issue(self, *, user_id: int, account_id: int, scopes: frozenset[str]) -> tuple[str, int]:
        """Return a token for a user acting on an account, and its lifetime in seconds."""
        now = self._clock() // 1000
        claims = {
            "sub": str(user_id),
            "exp": now + ACCESS_TOKEN_SECONDS,
            "iat": now,
            "aud": AUDIENCE,
            "iss": ISSUER,
            "jti": secrets.token_urlsafe(16),
            "account": account_id,
            "scope": " ".join(sorted(scopes)),
        }
        token: str = jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"typ": _HEADER["typ"]})
        return token, ACCESS_TOKEN_SECONDS

    def verify(self, token: str) -> Principal:
        """Return who the token speaks for. Raises ApiError `unauthenticated` or `token_expired`."""
        known = self._verified.get(token)
        if known is not None and known.expires_at_ms is not None and self._clock() < known.expires_at_ms:
            return known
        principal = self._verify(token)
        self._verified.pop(token, None)
        self._verified[token] = principal
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        return principal

    def _verify(self, token: str) -> Principal:
        if len(token) > TOKEN_BYTES_MAX or _COMPACT.fullmatch(token) is None:
            raise _refusal()
        try:
            header: Mapping[str, Any] = jwt.get_unverified_header(token)
            if header != _HEADER:
                raise _refusal()
            decoded = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], options=_OPTIONS, audience=AUDIENCE, issuer=ISSUER
            )
            claims = msgspec.convert(decoded, _Claims)
            user_id = int(claims.sub)
        except ExpiredSignatureError as error:
            raise ApiError("token_expired", "The access token has expired; refresh it or log in again.") from error
        except (JOSEError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _refusal() from error
        return Principal(
            account_id=claims.account,
            scopes=frozenset(claims.scope.split()),
            user_id=user_id,
            expires_at_ms=claims.exp * 1000,
        )


def _refusal() -> ApiError:
    return ApiError("unauthenticated", "The access token is not valid.")
