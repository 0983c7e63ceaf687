"""`python -m app demo-market`: bots that make the development exchange trade, through its public API only.

Two makers keep ladders around a random walk per instrument, a taker crosses them. They know addresses
and keys, come back from any failure by themselves, and end on SIGTERM.
"""

import asyncio
import os
import signal

import msgspec
import structlog

from app.dev import catalog
from app.dev.bot import LOST, Bot, Traded
from app.dev.client import RestClient
from app.dev.credentials import Credentials
from app.dev.fair_price import FairPrice
from app.dev.maker import Maker
from app.dev.taker import Taker
from app.errors import StartupError

MARKET_VARIABLE = "ORDERWIRE_DEMO_MARKET"
"""Environment variable that holds the plan as JSON."""
SETUP_RETRY_S = 0.5
MAKER_OFFSETS = (0.5, 1.5)
"""Distance of each maker's first level from the fair price, in gaps."""

log = structlog.get_logger(__name__)


class MarketPlan(msgspec.Struct, frozen=True):
    """Addresses of the replicas, and a key for each bot by account name."""

    rest: list[str]
    ws: list[str]
    accounts: dict[str, Credentials]


def plan_from_environment() -> MarketPlan:
    """Return the plan. Raises StartupError when it is missing or malformed."""
    try:
        return msgspec.json.decode(os.environ[MARKET_VARIABLE], type=MarketPlan)
    except (KeyError, msgspec.DecodeError) as error:
        raise StartupError(f"{MARKET_VARIABLE} must hold the plan of the demo market: {error}") from error


async def run_market(plan: MarketPlan) -> int:
    """Trade until SIGTERM or SIGINT; returns the exit code."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(_trade(plan))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("demo_market_stopped")
    return 0


async def _trade(plan: MarketPlan) -> None:
    books = await _books(plan)
    bots: list[Bot] = [
        Maker(name, plan.ws, plan.accounts[name], books, offset=offset)
        for name, offset in zip(catalog.MAKERS, MAKER_OFFSETS, strict=True)
    ]
    bots += [Taker(name, plan.ws, plan.accounts[name], books) for name in catalog.TAKERS]
    async with asyncio.TaskGroup() as group:
        for bot in bots:
            group.create_task(bot.run(), name=bot.name)


async def _books(plan: MarketPlan) -> list[Traded]:
    """Return what to trade, the walks going on from the last prices; asks until the exchange answers."""
    while True:
        try:
            async with RestClient(plan.rest[0]) as client:
                tickers = (await client.call("GET", "/v1/ticker"))["data"]
            last = {ticker["symbol"]: ticker["last"] for ticker in tickers}
            return [_traded(listed, last.get(listed.symbol)) for listed in catalog.INSTRUMENTS]
        except LOST as error:
            log.info("demo_market_waits", reason=str(error))
            await asyncio.sleep(SETUP_RETRY_S)


def _traded(listed: catalog.ListedInstrument, last: str | None) -> Traded:
    start = float(last) if last is not None else None
    return Traded(
        symbol=listed.symbol,
        base=listed.base,
        tick_size=float(listed.tick_size),
        price_digits=_digits(listed.tick_size),
        quantity_digits=_digits(listed.lot_size),
        min_quantity=float(listed.min_quantity),
        usual_quantity=listed.usual_quantity,
        target=float(catalog.BOT_FUNDS[listed.base]),
        fair=FairPrice(float(listed.start_price), listed.volatility, start=start),
    )


def _digits(step: str) -> int:
    return len(step.partition(".")[2])
