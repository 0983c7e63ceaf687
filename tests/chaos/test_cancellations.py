"""Callers are canceled at random awaits: nobody gets another's answer, and nothing is left behind."""

import asyncio
import random

from app.domain.commands import CancelAll, PlaceOrder
from app.domain.enums import OrderType, Side
from tests.chaos.conftest import SEED, Exchange, rounds
from tests.chaos.history import Facts, journal_rows
from tests.chaos.load import PRICE, SYMBOL

AT_ONCE = 50
LATEST_S = 0.02
LABEL = "hurried"


async def test_canceled_callers_cross_no_answers_and_leak_nothing(exchange: Exchange) -> None:
    """Each caller's answer must be of its own order; the load beside it is judged as always."""
    rng = random.Random(SEED)
    wanted = rounds(1_000, 20_000)
    link, account_id = exchange.links[0], exchange.load.clients[0].operations[0].account_id
    landed = answered = number = 0

    async def place(name: str) -> str | None:
        terms = (account_id, SYMBOL, Side.BUY, OrderType.LIMIT, 1, PRICE // 2)
        command = PlaceOrder(*terms, client_order_id=name, label=LABEL)
        outcome = await link.submit(command)
        return None if outcome.order is None else outcome.order.terms.client_order_id

    async def hurried(name: str, patience: float) -> None:
        nonlocal landed, answered
        try:
            async with asyncio.timeout(patience):
                assert await place(name) == name
        except TimeoutError:
            landed += 1
        else:
            answered += 1

    while landed < wanted:
        names = [f"hurried-{number + offset}" for offset in range(AT_ONCE)]
        number += AT_ONCE
        await asyncio.gather(*(hurried(name, rng.uniform(0, LATEST_S)) for name in names))
        # Within the limit of open orders; a label keeps the load's own orders out of it.
        await link.submit(CancelAll(account_id, label=LABEL))
    assert answered > wanted // 20, "every caller was canceled: no answer could have crossed"
    await exchange.load.stop()
    assert link.pending == 0, "requests of canceled callers are still kept"
    Facts(await journal_rows(exchange.journal))
    print(f"\n{landed} canceled, {answered} answered")
