"""One run of the load from its options: opens a market of its own, sends, and returns the figures."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from app.bootstrap.startup import locate_leader
from app.dev.client import RestClient
from app.dev.credentials import Credentials
from app.errors import StartupError
from app.link.client import LinkClient
from app.load.api_target import ApiTarget, Lane, RestLane, StreamLane, stream_url
from app.load.flow import Trader
from app.load.link_target import LinkTarget
from app.load.market import open_link_market, open_market
from app.load.open_loop import OpenLoop, Tally
from app.load.plan import Options, Via
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal

LEADER_WAIT_S = 5.0
JOURNAL_WAIT_S = 3.0

T = TypeVar("T")
Watch = Callable[[OpenLoop], None]


@dataclass(frozen=True)
class LinkPlace:
    """How the engine's link of a shard is found and opened."""

    database_url: str
    shard: int
    secret: bytes


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop that keeps moments to some microseconds: epoll's timers, and uvloop's, know milliseconds only."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)


async def run_on_api(
    options: Options, administrator: Credentials, replicas: Sequence[str], *, watch: Watch | None = None
) -> dict[str, Any]:
    """Load the public API of replicas, given by their base URLs; each connection is a trader of its own.

    Raises RequestRefused, Refused, OSError, or TimeoutError when the run cannot begin.
    """
    loop = OpenLoop(options.plan)
    async with RestClient(replicas[0], administrator) as rest:
        market = await open_market(rest, replicas[0], options.connections)
    lanes: list[Lane] = []
    for number, credentials in enumerate(market.traders):
        replica = replicas[number % len(replicas)]
        trader = Trader(f"{market.symbol}.{number}", options.plan.seed)
        if options.via is Via.REST:
            lanes.append(RestLane(loop, market.symbol, trader, replica, credentials))
        else:
            lanes.append(StreamLane(loop, market.symbol, trader, stream_url(replica), credentials))
    target = ApiTarget(lanes)
    try:
        await target.open()
        tally = await loop.run(target, watch=None if watch is None else lambda: watch(loop))
    finally:
        await target.close()
    return figures(options, tally) | {"symbol": market.symbol, "reconnects": target.reconnects}


async def run_on_link(options: Options, place: LinkPlace, *, watch: Watch | None = None) -> dict[str, Any]:
    """Load the engine's link; each connection is a link and a trader of its own.

    Raises StartupError, JournalUnavailable, or ApiError when the run cannot begin.
    """
    async with AsyncExitStack() as stack:
        links = [await _linked(stack, place, number) for number in range(options.connections)]
        market = await open_link_market(links[0], options.connections)
        loop = OpenLoop(options.plan)
        target = LinkTarget(loop, links, market, seed=options.plan.seed)
        try:
            tally = await loop.run(target, watch=None if watch is None else lambda: watch(loop))
        finally:
            await target.close()
    return figures(options, tally) | {"symbol": market.symbol, "reconnects": 0}


def figures(options: Options, tally: Tally) -> dict[str, Any]:
    """Return what was asked for and what came of it."""
    plan = options.plan
    asked = {
        "via": options.via.value,
        "rate": plan.rate,
        "asked_seconds": plan.seconds,
        "arrivals": plan.arrivals.value,
        "seed": plan.seed,
        "connections": options.connections,
        "in_flight_max": plan.in_flight_max,
    }
    return asked | tally.figures()


async def _linked(stack: AsyncExitStack, place: LinkPlace, number: int) -> LinkClient:
    journal = await Journal.connect(asyncpg_dsn(place.database_url), place.shard, give_up_s=JOURNAL_WAIT_S)
    stack.push_async_callback(journal.close)
    link = LinkClient(
        shard=place.shard,
        secret=place.secret,
        replica=f"load-{number}",
        build="load",
        locate=locate_leader(journal),
    )
    await link.start()
    stack.push_async_callback(link.stop)
    if not await link.wait_connected(LEADER_WAIT_S):
        raise StartupError(f"no engine leads shard {place.shard}, or LINK_SECRET is not its")
    return link
