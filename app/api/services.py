"""What the routes are given: one frozen value of ports, wired by `bootstrap`, faked in tests."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.websockets import WebSocket

from app.auth.api_keys import ApiKeys
from app.auth.login import LoginService
from app.auth.replay import ReplayGuard
from app.protocol.ports import Administration, Authenticator, Instruments, MarketData, OrderEntry

Readiness = Callable[[], Awaitable[tuple[bool, Mapping[str, str]]]]
"""Returns whether the replica may serve, and a reason per dependency: `ok` or what is wrong with it."""
StreamEndpoint = Callable[[WebSocket], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything behind the routes of one replica."""

    shard: int
    order_entry: OrderEntry
    administration: Administration
    market_data: MarketData
    instruments: Instruments
    authenticator: Authenticator
    replay_guard: ReplayGuard
    login: LoginService
    api_keys: ApiKeys
    database: AsyncEngine
    """For reads of the projections only."""
    readiness: Readiness
    stream: StreamEndpoint | None = None
    """The WebSocket endpoint of `GET /v1/stream`; None leaves the path out."""
