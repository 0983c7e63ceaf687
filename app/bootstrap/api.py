"""The API role: one stateless replica serving REST and the WebSocket."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType
from typing import NamedTuple

import structlog
import uvicorn
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import AsyncEngine

from app import __version__, metrics
from app.api.rate_exchange import RateExchange
from app.api.rate_limits import Quotas, RateLimits
from app.auth.api_keys import ApiKeys
from app.auth.authenticator import CredentialsAuthenticator
from app.auth.login import LoginService
from app.auth.passwords import Passwords
from app.auth.replay import RedisReplayGuard
from app.auth.secret_box import SecretBox
from app.auth.stores import DatabaseKeyStore, DatabaseUserStore
from app.auth.tokens import AccessTokens
from app.bootstrap.lasting_tasks import LastingTasks
from app.bootstrap.replica_status import ReplicaStatus
from app.bootstrap.sources import storage_sources
from app.bootstrap.startup import (
    EXIT_LOST,
    EXIT_OK,
    bind,
    locate_leader,
    open_journal,
    require_database,
    require_redis,
)
from app.breaker import Breaker
from app.bus.redis import RedisBus
from app.bus.shared_counts import SharedCounts
from app.bus.topics import BUS_PREFIX, shard_prefix, stream_key
from app.config import Settings
from app.gateway.administration import AdministrationGateway
from app.gateway.orders import OrderGateway
from app.link.client import LinkClient
from app.main import Services, create_app
from app.protocol.modes import Part
from app.storage.cursors import CoreCursor
from app.storage.database import create_database_engine
from app.streaming.endpoint import WS_SETTINGS, StreamEndpoint
from app.streaming.hub import Hub
from app.streaming.limits import SessionLimits

DRAIN_S = 1.0
GRACEFUL_SHUTDOWN_S = 5
LEADER_WAIT_S = 1.0
JOURNAL_PATIENCE_S = 1.0
"""A question to the journal fails soon: whoever asked has another way, or asks again."""
REDIS_TIMEOUT_S = 1.0

log = structlog.get_logger(__name__)


async def run_api(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Serve until stopped or unable to follow the exchange: say goodbye to the sockets, finish requests, close."""
    metrics.announce(role="api", version=__version__)
    sock = bind(settings.api_host, settings.api_port)
    await require_database(settings.database_url)
    await require_redis(settings.redis_url)
    async with AsyncExitStack() as stack:
        stack.callback(sock.close)
        journal = await open_journal(settings, give_up_s=JOURNAL_PATIENCE_S)
        stack.push_async_callback(journal.close)
        breakers = {part: Breaker(part.value) for part in (Part.DATABASE, Part.REDIS, Part.ENGINE)}
        database = create_database_engine(
            settings.database_url, pool_size=settings.database_pool, breaker=breakers[Part.DATABASE]
        )
        stack.push_async_callback(database.dispose)
        link = LinkClient(
            shard=settings.shard,
            secret=settings.link_secret.get_secret_value().encode(),
            replica=f"{os.uname().nodename}:{os.getpid()}",
            build=__version__,
            locate=locate_leader(journal),
            breaker=breakers[Part.ENGINE],
        )
        await link.start()
        stack.push_async_callback(link.stop)
        await link.wait_connected(LEADER_WAIT_S)
        hub = Hub(
            open_bus=lambda epoch: RedisBus(settings.redis_url, stream_key(settings.shard, epoch)),
            sources=storage_sources(database, journal, settings.shard),
            book_source=link,
        )
        await hub.start()
        stack.push_async_callback(hub.stop)
        redis = _redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        status = ReplicaStatus(database, redis, link, hub, breakers=breakers)
        await status.probe()
        judging = asyncio.create_task(status.run(), name="status")
        stack.callback(judging.cancel)
        services = _services(settings, stack, _Parts(database, redis, link, hub, status, breakers[Part.REDIS]))
        shared = SharedCounts(redis, prefix=shard_prefix(settings.shard), breaker=breakers[Part.REDIS])
        exchanging = asyncio.create_task(RateExchange(services.rate_limits, shared).run())
        stack.callback(exchanging.cancel)
        server = _Server(_uvicorn_config(create_app(services)), hub)
        lasting = LastingTasks(server.leave)
        lasting.watch(*hub.tasks, *link.tasks, judging)
        port = sock.getsockname()[1]
        announce(f"api on http://{settings.api_host}:{port}")
        await server.serve(sockets=[sock])
    return EXIT_LOST if lasting.is_one_lost else EXIT_OK


def _redis(url: str) -> Redis:
    """Return a client that never repeats a command by itself."""
    return Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )


class _Parts(NamedTuple):
    """What the services of a replica are made of."""

    database: AsyncEngine
    redis: Redis
    link: LinkClient
    hub: Hub
    status: ReplicaStatus
    redis_breaker: Breaker


def _services(settings: Settings, stack: AsyncExitStack, parts: _Parts) -> Services:
    """Wire the services of one replica."""
    database, redis, link, hub, status, redis_breaker = parts
    passwords = Passwords()
    stack.callback(passwords.close)
    jwt_secret = settings.jwt_secret.get_secret_value()
    tokens = AccessTokens(jwt_secret)
    keys = ApiKeys(DatabaseKeyStore(database), SecretBox(settings.key_secret.get_secret_value()))
    authenticator = CredentialsAuthenticator(tokens, keys)
    orders = OrderGateway(link, hub.instruments)
    administration = AdministrationGateway(link, hub.instruments)
    users = DatabaseUserStore(database)
    origins = frozenset(origin for origin in settings.allowed_origins.split(",") if origin)
    limits = SessionLimits(
        messages_per_s=settings.stream_messages_per_s or None,
        sessions_per_address=settings.stream_sessions_per_address or None,
    )
    stream = StreamEndpoint(hub, orders, authenticator, link.holds, allowed_origins=origins, limits=limits)
    stack.callback(asyncio.create_task(stream.key_watch.run()).cancel)
    return Services(
        shard=settings.shard,
        order_entry=orders,
        administration=administration,
        market_data=hub,
        instruments=hub.instruments,
        standings=link,
        authenticator=authenticator,
        replay_guard=RedisReplayGuard(redis, prefix=BUS_PREFIX, breaker=redis_breaker),
        login=LoginService(users, administration, tokens, passwords, refresh_secret=jwt_secret),
        api_keys=keys,
        database=database,
        core_cursor=CoreCursor(database, settings.shard),
        status=status.current,
        rate_limits=RateLimits(
            Quotas(requests_per_s=settings.requests_per_s, logins_per_minute=settings.logins_per_minute)
        ),
        stream=stream.serve,
    )


def _uvicorn_config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI application
        loop="none",
        http="httptools",
        **WS_SETTINGS,
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
    )


class _Server(uvicorn.Server):
    """Says goodbye on every socket before uvicorn closes them."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain first; a second signal stops at once."""
        if self._draining is not None:
            self.should_exit = True
        self.leave()

    def leave(self) -> None:
        """Drain and stop, once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            await self._hub.drain(timeout_s=DRAIN_S)
        finally:
            self.should_exit = True
