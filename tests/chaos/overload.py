"""A replica that offers more than the engine can take: `python -m tests.chaos.overload`, one JSON line on stdout.

Orders come by a schedule that answers do not slow down, so what waits is seen waiting. They are immediate
or cancel and meet nobody: the market stays empty, however many are taken. Among them, at a rate of their
own, cancels of orders that rest.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field

import uvloop

from app.domain.commands import CancelOrder, Command, PlaceOrder
from app.domain.enums import OrderType, Side, TimeInForce
from app.errors import ApiError
from app.link.client import LinkClient
from tests.chaos.load import PRICE, SYMBOL, settled
from tests.engine_process import linked

TICK_S = 0.002
CANCEL_EVERY_S = 0.02
CLOSED_IN_FLIGHT = 256


@dataclass(frozen=True)
class Plan:
    """What to offer: orders a second, 0 for as many as the engine answers, CLOSED_IN_FLIGHT at a time."""

    database_url: str
    shard: int
    account_id: int
    rate: float
    seconds: float


@dataclass
class Seen:
    """What came of it; times in seconds."""

    offered: int = 0
    answered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    cancels: int = 0
    cancels_refused: dict[str, int] = field(default_factory=dict)
    cancel_waits: list[float] = field(default_factory=list)
    pending_max: int = 0
    seconds: float = 0.0


class Offer:
    """One replica's load."""

    def __init__(self, link: LinkClient, plan: Plan) -> None:
        self._link = link
        self._plan = plan
        self._seen = Seen()
        self._running: set[asyncio.Task[None]] = set()
        self._order = PlaceOrder(
            plan.account_id, SYMBOL, Side.BUY, OrderType.LIMIT, 1, PRICE, time_in_force=TimeInForce.IOC
        )

    async def run(self) -> Seen:
        """Offer for the planned time; returns when everything is answered."""
        resting = await asyncio.gather(*map(self._rest, range(int(self._plan.seconds / CANCEL_EVERY_S))))
        started = time.monotonic()
        canceling = asyncio.create_task(self._cancel_all(resting))
        if self._plan.rate:
            await self._by_schedule(started)
        else:
            await asyncio.gather(*(self._one_after_the_other(started) for _ in range(CLOSED_IN_FLIGHT)))
        self._seen.seconds = time.monotonic() - started
        await asyncio.gather(canceling, *self._running)
        return self._seen

    async def _rest(self, number: int) -> int:
        outcome = await settled(
            self._link,
            PlaceOrder(
                self._plan.account_id,
                SYMBOL,
                Side.BUY,
                OrderType.LIMIT,
                1,
                1,
                client_order_id=f"resting-{os.getpid()}-{number}",
            ),
        )
        assert outcome.order is not None
        return outcome.order.order_id

    async def _by_schedule(self, started: float) -> None:
        while (elapsed := time.monotonic() - started) < self._plan.seconds:
            for _ in range(int(elapsed * self._plan.rate) - self._seen.offered):
                self._seen.offered += 1
                task = asyncio.create_task(self._place())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            self._seen.pending_max = max(self._seen.pending_max, self._link.pending)
            await asyncio.sleep(TICK_S)

    async def _one_after_the_other(self, started: float) -> None:
        while time.monotonic() - started < self._plan.seconds:
            self._seen.offered += 1
            await self._place()

    async def _place(self) -> None:
        asked = time.monotonic()
        if await self._answered(self._order, self._seen.refused):
            self._seen.answered += 1
            self._seen.waits.append(time.monotonic() - asked)

    async def _cancel_all(self, resting: list[int]) -> None:
        async with asyncio.TaskGroup() as canceling:
            for order_id in resting:
                canceling.create_task(self._cancel(order_id))
                await asyncio.sleep(CANCEL_EVERY_S)

    async def _cancel(self, order_id: int) -> None:
        asked = time.monotonic()
        self._seen.cancels += 1
        if await self._answered(CancelOrder(self._plan.account_id, order_id), self._seen.cancels_refused):
            self._seen.cancel_waits.append(time.monotonic() - asked)

    async def _answered(self, command: Command, refused: dict[str, int]) -> bool:
        try:
            await self._link.submit(command)
        except ApiError as error:
            refused[error.code] = refused.get(error.code, 0) + 1
            return False
        return True


async def offer(plan: Plan) -> Seen:
    """Offer over a link of its own."""
    async with linked(plan.database_url, shard=plan.shard) as link:
        return await Offer(link, plan).run()


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(offer(Plan(**json.loads(sys.argv[1])))))))
