"""Clients that trade over the link and never give an order up: the same client_order_id until it is answered."""

import asyncio
import random
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

from app.domain.commands import (
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
)
from app.domain.enums import OrderType, Side
from app.domain.events import Fill
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.link.client import LinkClient

SYMBOL = "X-USD"
PRICE = 10_000
SPREAD = 6
FUNDS = "1" + "0" * 15
RETRY_PAUSE_S = 0.02
RESOLVE_WAIT_S = 30.0
OPEN_KEPT = 20
THINK_S = 0.01
"""Between a client's orders: a journal that the judges can replay in seconds."""


@dataclass
class Operation:
    """One order as its client saw it; times are of the monotonic clock."""

    account_id: int
    client_order_id: str
    started: float
    ended: float = 0.0
    attempts: int = 0
    unknowns: int = 0
    order_id: int = 0
    engine_seq: int = 0
    """Of the first answer that was no repetition."""
    fills: list[Fill] = field(default_factory=list)
    refused: str | None = None


class Unresolved(AssertionError):
    """An order got no answer within RESOLVE_WAIT_S."""


async def open_market(link: LinkClient, accounts: int) -> list[int]:
    """List the instrument and fund accounts; returns their ids."""
    for command in (
        CreateAsset("USD", 2),
        CreateAsset("X", 0),
        CreateInstrument(SYMBOL, "X", "USD", "0.01", "1", maker_fee=10_000, taker_fee=20_000),
    ):
        await settled(link, command)
    opened = []
    for number in range(accounts):
        account_id = (await settled(link, CreateAccount(f"client-{number}"))).account_id
        assert account_id is not None
        opened.append(account_id)
        for asset in ("USD", "X"):
            await settled(link, Deposit(account_id, asset, FUNDS, f"first-{asset}"))
    return opened


async def settled(link: LinkClient, command: Command) -> Outcome:
    """Send a command with a natural key until it is answered."""
    give_up = time.monotonic() + RESOLVE_WAIT_S
    while True:
        try:
            return await link.submit(command)
        except ApiError as error:
            if time.monotonic() > give_up:
                raise Unresolved(f"{command}: {error.code}") from error
        await asyncio.sleep(RETRY_PAUSE_S)


class Client:
    """One account that places and cancels, one order after the other."""

    def __init__(self, link: LinkClient, account_id: int, seed: int, answered: list[float]) -> None:
        self._answered = answered
        self._link = link
        self._account_id = account_id
        self._rng = random.Random(seed)
        self._open: list[int] = []
        self._count = 0
        self.operations: list[Operation] = []
        self.waiting: Operation | None = None
        self.canceled: dict[int, float] = {}
        """Orders whose cancel was acknowledged, and when."""

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until stopped; what was begun is resolved first. Raises Unresolved."""
        while not stop.is_set():
            if len(self._open) > OPEN_KEPT or (self._open and self._rng.random() < 0.25):
                await self._cancel(self._open.pop(self._rng.randrange(len(self._open))))
            else:
                await self._place()
            await asyncio.sleep(THINK_S)

    async def _place(self) -> None:
        self._count += 1
        operation = Operation(self._account_id, f"{self._account_id}-{self._count}", time.monotonic())
        command = PlaceOrder(
            self._account_id,
            SYMBOL,
            self._rng.choice((Side.BUY, Side.SELL)),
            OrderType.LIMIT,
            self._rng.randint(1, 5),
            PRICE + self._rng.randint(-SPREAD, SPREAD),
            client_order_id=operation.client_order_id,
        )
        self.operations.append(operation)
        self.waiting = operation
        give_up = operation.started + RESOLVE_WAIT_S
        while True:
            operation.attempts += 1
            try:
                outcome = await self._link.submit(command)
            except ApiError as error:
                operation.unknowns += error.code == "execution_unknown"
                if time.monotonic() > give_up:
                    raise Unresolved(f"{operation}: {error.code}") from error
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            break
        self.waiting = None
        operation.ended = time.monotonic()
        self._answered.append(operation.ended)
        if outcome.order is None:
            assert outcome.rejection is not None
            operation.refused = outcome.rejection.reason.value
            return
        operation.order_id = outcome.order.order_id
        if not outcome.duplicate:
            operation.engine_seq, operation.fills = outcome.engine_seq, list(outcome.fills)
        if outcome.order.remaining_quantity and outcome.order.status in ("open", "partially_filled"):
            self._open.append(operation.order_id)

    async def _cancel(self, order_id: int) -> None:
        outcome = await settled(self._link, CancelOrder(self._account_id, order_id=order_id))
        if outcome.order is not None:
            self.canceled[order_id] = time.monotonic()


class Load:
    """Some clients at once, over one or more links."""

    def __init__(self, links: list[LinkClient], accounts: list[int], *, seed: int) -> None:
        self.answered: list[float] = []
        """When each order was answered, the first first: to look at it must not cost more the longer a run takes."""
        self.clients = [
            Client(links[number % len(links)], account_id, seed + number, self.answered)
            for number, account_id in enumerate(accounts)
        ]
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to trade."""
        self._tasks = [asyncio.create_task(client.run(self._stop)) for client in self.clients]

    async def stop(self) -> None:
        """Stop, resolving what was begun. Raises Unresolved."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def wait_for_answers(self, count: int, timeout_s: float) -> None:
        """Wait until so many more orders were answered than now."""
        target = len(self.answered) + count
        async with asyncio.timeout(timeout_s):
            while len(self.answered) < target:  # noqa: ASYNC110  # polls what clients write down
                await asyncio.sleep(0.005)

    def first_answer_after(self, moment: float) -> float:
        """Return when the first order was answered after a moment; there must be one."""
        return self.answered[bisect_right(self.answered, moment)]

    def longest_silence(self, start: float, end: float) -> float:
        """Return the longest time in seconds without any answer, between two moments that both had some."""
        times = self.answered[bisect_left(self.answered, start) : bisect_right(self.answered, end)]
        return max(later - earlier for earlier, later in pairwise(times))
