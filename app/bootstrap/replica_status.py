"""How one replica sees the exchange: what the leader tells, and what the replica itself finds.

Its own servers are asked once a second, not with every request, so strangers cannot turn `/readyz` into
load. A change is shown at once: in the metrics and on the `status` channel.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

import structlog
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.breaker import Breaker
from app.link.client import LinkClient
from app.protocol.modes import OK, RANK, ExchangeStatus, Finding, Mode, Part, status_of
from app.streaming.hub import Hub

LOOK_S = 0.1
PROBE_S = 1.0
PROBE_TIMEOUT_S = 1.0
WATCHED_S = PROBE_S + PROBE_TIMEOUT_S + 0.5
"""Until then there is another probe: no client's request needs to be one."""
SLOW_S = 0.25
"""A server that takes longer for the least question is slow."""

log = structlog.get_logger(__name__)


class ReplicaStatus:
    """Judges one replica; `run` it in a task after the first `probe`."""

    def __init__(
        self, database: AsyncEngine, redis: Redis, link: LinkClient, hub: Hub, *, breakers: Mapping[Part, Breaker]
    ) -> None:
        self._database = database
        self._redis = redis
        self._breakers = breakers
        self._link = link
        self._hub = hub
        self._found: dict[Part, Finding | None] = {}
        self._shown: ExchangeStatus | None = None

    def current(self) -> ExchangeStatus:
        """Return how things are now."""
        findings = tuple(self._findings())
        mode = status_of(findings).mode
        ready = mode is not Mode.READ_ONLY and not self._hub.is_stale and not self._hub.is_draining
        return status_of(findings, ready=ready)

    async def probe(self) -> None:
        """Ask both servers, at most PROBE_TIMEOUT_S each; the answer opens or closes their breakers at once."""
        await asyncio.gather(
            self._ask(Part.DATABASE, "PostgreSQL", Mode.READ_ONLY, self._ask_database),
            self._ask(Part.REDIS, "Redis", Mode.DEGRADED, self._ask_redis),
        )

    async def run(self) -> None:
        """Probe, and show every change, until canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._probe_for_ever())
            group.create_task(self._show_for_ever())

    async def _show_for_ever(self) -> None:
        while True:
            self._show(self.current())
            await asyncio.sleep(LOOK_S)

    async def _probe_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PROBE_S)
            await self.probe()

    def _findings(self) -> Iterator[Finding]:
        if not self._link.connected:
            yield Finding(Part.ENGINE, Mode.READ_ONLY, "no engine is leading")
        if self._hub.is_stale:
            yield Finding(Part.STREAM, Mode.DEGRADED, "the journal cannot be followed")
        if self._hub.is_draining:
            yield Finding(Part.DRAIN, Mode.DEGRADED, "the replica is stopping")
        yield from (finding for finding in self._found.values() if finding is not None)
        yield from self._link.findings

    async def _ask(self, part: Part, name: str, lost: Mode, question: Callable[[], Awaitable[object]]) -> None:
        asked_s = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await question()
        except Exception as error:
            # Drivers have exceptions of their own; each of them means that the server is of no use now.
            self._found[part] = Finding(part, lost, f"{name} does not answer: {type(error).__name__}")
            self._breakers[part].trip(at_least_s=WATCHED_S)
            return
        self._breakers[part].succeed()
        slow = time.monotonic() - asked_s > SLOW_S
        self._found[part] = Finding(part, Mode.DEGRADED, f"{name} answers slowly") if slow else None

    async def _ask_database(self) -> None:
        async with self._database.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def _ask_redis(self) -> None:
        await self._redis.ping()

    def _show(self, status: ExchangeStatus) -> None:
        if status == self._shown:
            return
        self._shown = status
        metrics.MODE.set(RANK[status.mode])
        for part, reason in status.reasons.items():
            metrics.PART_OK.labels(part).set(reason == OK)
        wrong = {part: reason for part, reason in status.reasons.items() if reason != OK}
        log.info("mode", mode=status.mode.value, reasons=wrong)
        self._hub.show_status(status)
