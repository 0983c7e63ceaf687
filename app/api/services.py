"""What the routes are given: one frozen value of ports, wired by `bootstrap`, faked in tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.websockets import WebSocket

from app.api.rate_limits import RateLimits
from app.auth.api_keys import ApiKeys
from app.auth.login import LoginService
from app.auth.replay import ReplayGuard
from app.protocol.modes import ExchangeStatus
from app.protocol.ports import Administration, Authenticator, Instruments, MarketData, OrderEntry, Standings
from app.storage.cursors import CoreCursor

StreamEndpoint = Callable[[WebSocket], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything behind the routes of one replica."""

    shard: int
    order_entry: OrderEntry
    administration: Administration
    market_data: MarketData
    instruments: Instruments
    standings: Standings
    authenticator: Authenticator
    replay_guard: ReplayGuard
    login: LoginService
    api_keys: ApiKeys
    database: AsyncEngine
    """For reads of the projections only."""
    core_cursor: CoreCursor
    """How far these are."""
    status: Callable[[], ExchangeStatus]
    """How the exchange is, as this replica last saw it; asks nobody."""
    rate_limits: RateLimits = field(default_factory=RateLimits)
    """How many requests a caller may send; by default any number."""
    stream: StreamEndpoint | None = None
    """The WebSocket endpoint of `GET /v1/stream`; None leaves the path out."""
