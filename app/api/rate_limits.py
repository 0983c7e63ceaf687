"""How many requests a caller may send: counted for whole windows of time, told on every answer.

A replica counts what it serves, and adds what it heard of the others (rate_exchange.py). A caller is the credentials
that were verified, else the address. Requests that only take risk out of the market count by themselves: whoever used
everything up can still cancel.
"""

import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import Scope

from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.addresses import caller_of

SUBJECTS_MAX = 100_000
"""Callers counted one by one in a window; all beyond share one count."""
_LIMITS, _STANDING = "rate_limits", "rate_limit"
_UNCOUNTED = ("/healthz", "/readyz", "/metrics")
_ROUTES = "/v1/"
_LOGINS = ("/v1/auth/login", "/v1/auth/register")
PUBLIC = ("/v1/time", "/v1/status", "/v1/instruments", "/v1/orderbook/", "/v1/ticker", "/v1/trades/", "/v1/auth/")
"""What asks for no credentials: sending some does not make it another caller's."""
_CREDENTIALS = (b"authorization", b"x-api-key")


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Requests of one caller; 0 is no limit."""

    requests_per_s: int = 0
    """The same again for cancels."""
    logins_per_minute: int = 0
    """Passwords to check or to keep, by address: each costs what it is meant to cost."""


now_s = time.time
"""Wall clock: windows of all replicas begin together."""


class Policy:
    """A quota for windows of so many seconds, and what each caller sent in the present one."""

    def __init__(self, name: str, quota: int, window_s: int) -> None:
        self.name = name
        self.quota = quota
        self.window_s = window_s
        self._window = -1
        self._counts: dict[str, int] = {}
        """What callers sent to this replica."""
        self._untold: dict[str, int] = {}
        """How much of that the other replicas were not told yet."""
        self._elsewhere: dict[str, int] = {}
        """What callers sent to the other replicas, as far as this one has heard."""

    def spend(self, subject: str, at_s: float) -> "Spent":
        """Count one request of a caller."""
        subject = self._turn_to(subject, at_s)
        self._counts[subject] = self._counts.get(subject, 0) + 1
        self._untold[subject] = self._untold.get(subject, 0) + 1
        return self._spent(subject, at_s, 0)

    def foresee(self, subject: str, at_s: float) -> "Spent":
        """Return what one more request of a caller would be, without counting it."""
        return self._spent(self._turn_to(subject, at_s), at_s, 1)

    def _turn_to(self, subject: str, at_s: float) -> str:
        """Begin the window of a time if it is new; returns whom the caller is counted as."""
        window = int(at_s // self.window_s)
        if window != self._window:
            self._window = window
            for counts in (self._counts, self._untold, self._elsewhere):
                counts.clear()
        return "" if subject not in self._counts and len(self._counts) >= SUBJECTS_MAX else subject

    def _spent(self, subject: str, at_s: float, more: int) -> "Spent":
        sent = self._counts.get(subject, 0) + self._elsewhere.get(subject, 0) + more
        return Spent(self, sent, (self._window + 1) * self.window_s - at_s)

    def tell(self, subjects_max: int) -> tuple[int, dict[str, int]]:
        """Return the window, and what was not told of up to so many callers; it counts as told from now on."""
        if len(self._untold) <= subjects_max:
            told, self._untold = self._untold, {}
        else:
            told = {subject: self._untold.pop(subject) for subject in list(self._untold)[:subjects_max]}
        return self._window, told

    def hear(self, window: int, subject: str, sent: int) -> None:
        """Take in what a caller sent to all replicas together, as far as they told."""
        if window == self._window:
            told = self._counts.get(subject, 0) - self._untold.get(subject, 0)
            self._elsewhere[subject] = max(sent - told, 0)

    def headers(self, sent: int, left_s: float) -> tuple[tuple[str, str], ...]:
        """Return what every answer says."""
        remaining, reset_s = max(self.quota - sent, 0), max(-int(-left_s // 1), 1)
        return (
            ("RateLimit-Policy", f'"{self.name}";q={self.quota};w={self.window_s}'),
            ("RateLimit", f'"{self.name}";r={remaining};t={reset_s}'),
        )


class Spent:
    """A request that was counted: how many that makes, and the seconds until counting starts anew."""

    __slots__ = ("_left_s", "_policy", "_sent")

    def __init__(self, policy: Policy, sent: int, left_s: float) -> None:
        self._policy = policy
        self._sent = sent
        self._left_s = left_s

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what its answer says."""
        return self._policy.headers(self._sent, self._left_s)

    def require(self) -> None:
        """Refuse the request if it is one too many. Raises ApiError `rate_limited`."""
        if self._sent > self._policy.quota:
            raise ApiError(
                "rate_limited",
                f"Too many requests: the quota of {self._policy.name} is used up.",
                limit=str(self._policy.quota),
                actual=str(self._sent),
                retry_after_ms=max(1, int(self._left_s * 1000)),
            )


class RateLimits:
    """The policies of one replica."""

    def __init__(self, quotas: Quotas | None = None) -> None:
        """By default any number of requests."""
        quotas = quotas or Quotas()
        self._requests = Policy("requests", quotas.requests_per_s, 1)
        self._cancels = Policy("cancels", quotas.requests_per_s, 1)
        self._logins = Policy("logins", quotas.logins_per_minute, 60)
        self._unverified = Policy("requests", quotas.requests_per_s, 1)
        """Credentials that proved wrong, by address; they count as requests as well."""

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What callers are told of, and what the replicas tell each other."""
        return self._requests, self._cancels, self._logins

    def arrive(self, scope: Scope) -> None:
        """Count a request whose caller is its address. Raises ApiError `rate_limited`."""
        path: str = scope["path"]
        scope["state"][_LIMITS] = self
        if path in _UNCOUNTED or _is_identified_later(scope):
            return
        policy = self._logins if path in _LOGINS and scope["method"] == "POST" else self._requests
        self._count(scope, policy, _address(scope))

    def identify(self, request: Request, principal: Principal | None) -> None:
        """Count a request with credentials that were verified, or (None) were not. Raises ApiError `rate_limited`."""
        if principal is None:
            address = _address(request.scope)
            if self._unverified.quota and _STANDING not in request.scope["state"]:
                self._unverified.spend(address, now_s())
            self._count(request.scope, self._requests, address)
            return
        policy = self._cancels if _only_cancels(request.method, request.scope["path"]) else self._requests
        self._count(request.scope, policy, principal.key_id or f"account {principal.account_id}")

    def admit_stranger(self, request: Request) -> None:
        """Refuse to look up what an address sends that sent too many wrong ones. Raises ApiError `rate_limited`."""
        if self._unverified.quota:
            self._unverified.foresee(_address(request.scope), now_s()).require()

    def _count(self, scope: Scope, policy: Policy, subject: str) -> None:
        if policy.quota and _STANDING not in scope["state"]:
            spent = scope["state"][_STANDING] = policy.spend(subject, now_s())
            spent.require()


def identify(request: Request, principal: Principal | None) -> None:
    """Count a request where limits are in force; see RateLimits.identify."""
    limits: RateLimits | None = request.scope["state"].get(_LIMITS)
    if limits is not None:
        limits.identify(request, principal)


def admit_stranger(request: Request) -> None:
    """Refuse a lookup where limits are in force; see RateLimits.admit_stranger."""
    limits: RateLimits | None = request.scope["state"].get(_LIMITS)
    if limits is not None:
        limits.admit_stranger(request)


def standing_headers(scope: Scope) -> tuple[tuple[str, str], ...]:
    """Return the headers of the answer to a request; none if it was not counted."""
    spent: Spent | None = scope["state"].get(_STANDING)
    return () if spent is None else spent.headers


def _is_identified_later(scope: Scope) -> bool:
    """Return whether a route, or the refusal of an unknown path, looks at the request's credentials."""
    path: str = scope["path"]
    if not path.startswith(_ROUTES) or path.startswith(PUBLIC):
        return False
    return any(name in _CREDENTIALS for name, _ in scope["headers"])


def _address(scope: Scope) -> str:
    """Return the caller by address, as the server was told to trust it."""
    client = scope.get("client")
    return f"address {caller_of(client[0] if client else '')}"


def _only_cancels(method: str, path: str) -> bool:
    return path == "/v1/cancel-after" or (method == "DELETE" and path.startswith(("/v1/orders", "/v1/order-lists/")))
