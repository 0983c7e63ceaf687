"""People: register, log in, keep a session alive, log out.

A session is a family of refresh tokens, each used once. The next one is derived from the one before
by HMAC: nothing readable is stored, and two tabs that refresh at the same moment get the same
successor. Any later reuse of an old token means that somebody copied it, and ends the family.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Protocol
from uuid import UUID, uuid4

import msgspec

from app.auth.clock import Clock, wall_clock_ms
from app.auth.passwords import Passwords
from app.auth.secret_box import derived_key
from app.auth.stores import UserStore
from app.auth.tokens import AccessTokens
from app.errors import ApiError
from app.storage.users import RefreshToken, User

REFRESH_BYTES = 32
REFRESH_LIFETIME_MS = 30 * 24 * 3600 * 1000
PARALLEL_REFRESH_MS = 2_000
"""An old token used again this soon is a second tab, not a thief."""
USER_SCOPES = ("read", "trade", "transfer")


class TokenPair(msgspec.Struct, kw_only=True):
    """What a login gives."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # the kind of token, not one
    expires_in: int
    """Seconds until the access token ends."""
    refresh_token: str
    account_id: str
    scopes: list[str]


class AccountOpener(Protocol):
    """The part of `ports.Administration` that registration needs."""

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        """Open an account; returns account_id, engine_seq, and whether it existed under this name."""


class LoginService:
    """Users and their sessions."""

    def __init__(
        self,
        users: UserStore,
        accounts: AccountOpener,
        tokens: AccessTokens,
        passwords: Passwords,
        *,
        refresh_secret: str,
        clock: Clock = wall_clock_ms,
    ) -> None:
        """`refresh_secret` may be the secret of the access tokens: a key of its own is derived from it."""
        self._users = users
        self._accounts = accounts
        self._tokens = tokens
        self._passwords = passwords
        self._refresh_key = derived_key(refresh_secret, b"orderwire refresh tokens", name="JWT_SECRET")
        self._clock = clock

    async def register(self, email: str, password: str) -> tuple[int, int]:
        """Open an account for a new user; returns account_id and engine_seq. Raises ApiError."""
        email = email.lower()
        if await self._users.user_by_email(email) is not None:
            raise _email_taken()
        password_hash = await self._passwords.hash(password)
        # The account's name follows from the email: a registration that was cut off here finds
        # its account again instead of opening another one.
        name = "user-" + hashlib.sha256(email.encode()).hexdigest()[:32]
        account_id, engine_seq, _ = await self._accounts.create_account(name)
        await self._add_user(email, password_hash, account_id)
        return account_id, engine_seq

    async def add_user(self, email: str, password: str, account_id: int) -> None:
        """Let a person sign in to an account that exists; repeating it for the same account changes nothing.

        Raises ApiError when the email belongs to another account.
        """
        email = email.lower()
        known = await self._users.user_by_email(email)
        if known is not None and known.account_id == account_id:
            return
        await self._add_user(email, await self._passwords.hash(password), account_id)

    async def login(self, email: str, password: str) -> TokenPair:
        """Start a session. Raises ApiError `unauthenticated` without saying which of the two was wrong."""
        user = await self._users.user_by_email(email.lower())
        fits = await self._passwords.verify(None if user is None else user.password_hash, password)
        if user is None or not fits:
            raise ApiError("unauthenticated", "Email or password is wrong.")
        refresh_token = secrets.token_urlsafe(REFRESH_BYTES)
        await self._users.insert_token(self._stored(refresh_token, uuid4(), user.user_id))
        return self._pair(user, refresh_token)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for new tokens. Raises ApiError `unauthenticated` or `token_expired`."""
        now_ms = self._clock()
        stored = await self._users.token(_hash(refresh_token))
        if stored is None or stored.revoked_at_ms is not None:
            raise _no_session()
        if stored.expires_at_ms <= now_ms:
            raise ApiError("token_expired", "The refresh token has expired; log in again.")
        user = await self._users.user_by_id(stored.user_id)
        if user is None:
            raise _no_session()
        successor = self._successor(refresh_token)
        # The successor first: if we stop between the two, the old token still works.
        await self._users.insert_token(self._stored(successor, stored.family_id, user.user_id))
        if not await self._users.use_token(stored.token_hash, at_ms=now_ms):
            await self._check_parallel(stored, successor, now_ms)
        return self._pair(user, successor)

    async def logout(self, refresh_token: str) -> None:
        """End the session of a refresh token; an unknown one is no error, there is nothing to end."""
        stored = await self._users.token(_hash(refresh_token))
        if stored is not None:
            await self._users.revoke_family(stored.family_id, at_ms=self._clock())

    async def _check_parallel(self, stored: RefreshToken, successor: str, now_ms: int) -> None:
        """Tell a second tab from a thief. Raises ApiError, and ends the family, for the latter."""
        used = await self._users.token(stored.token_hash)
        following = await self._users.token(_hash(successor))
        if (
            used is not None
            and used.revoked_at_ms is None
            and used.used_at_ms is not None
            and now_ms - used.used_at_ms <= PARALLEL_REFRESH_MS
            and following is not None
            and following.used_at_ms is None
            and following.revoked_at_ms is None
        ):
            return
        await self._users.revoke_family(stored.family_id, at_ms=now_ms)
        raise ApiError("unauthenticated", "The refresh token was used before; the session has ended.")

    async def _add_user(self, email: str, password_hash: str, account_id: int) -> None:
        added = await self._users.insert_user(
            email=email, password_hash=password_hash, account_id=account_id, scopes=USER_SCOPES
        )
        if not added:
            raise _email_taken()

    def _successor(self, refresh_token: str) -> str:
        digest = hmac.new(self._refresh_key, refresh_token.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _stored(self, refresh_token: str, family_id: UUID, user_id: int) -> RefreshToken:
        return RefreshToken(
            token_hash=_hash(refresh_token),
            family_id=family_id,
            user_id=user_id,
            expires_at_ms=self._clock() + REFRESH_LIFETIME_MS,
            used_at_ms=None,
            revoked_at_ms=None,
        )

    def _pair(self, user: User, refresh_token: str) -> TokenPair:
        access_token, expires_in = self._tokens.issue(
            user_id=user.user_id, account_id=user.account_id, scopes=frozenset(user.scopes)
        )
        return TokenPair(
            access_token=access_token,
            expires_in=expires_in,
            refresh_token=refresh_token,
            account_id=str(user.account_id),
            scopes=list(user.scopes),
        )


def _hash(refresh_token: str) -> bytes:
    # Random 256-bit text needs no slow hash.
    return hashlib.sha256(refresh_token.encode()).digest()


def _no_session() -> ApiError:
    return ApiError("unauthenticated", "The refresh token is unknown, or its session has ended.")


def _email_taken() -> ApiError:
    return ApiError("invalid_request", "This email cannot be registered.", status=422, field="email")
