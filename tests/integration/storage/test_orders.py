"""Order queries: exact states back, every filter, and pages without overlap or hole."""

from collections.abc import Callable

import asyncpg
import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.commands import PlaceOrder
from app.domain.enums import (
    OrderReason,
    OrderStatus,
    OrderType,
    PostOnly,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerBy,
)
from app.domain.events import OrderAccepted, OrderState
from app.projections.core import CoreProjector
from app.storage.database import create_database_engine
from app.storage.orders import (
    OrderFilters,
    get_order,
    get_order_by_client_id,
    list_open_orders,
    list_orders,
    list_orders_of_list,
)
from tests.journal_rows import batch, chain
from tests.market_stream import ACCOUNTS, MarketStream

ALICE = ACCOUNTS[0]
LARGEST = 2**63 - 1


def orders_of(stream: MarketStream, account_id: int = ALICE) -> list[OrderState]:
    """Return an account's orders, newest first."""
    return [order for order in stream.orders.values() if order.terms.account_id == account_id][::-1]


FULL_TERMS = PlaceOrder(
    account_id=7001,
    symbol="AAPL",
    side=Side.SELL,
    type=OrderType.STOP_LIMIT,
    quantity=LARGEST,
    price=LARGEST,
    time_in_force=TimeInForce.GTD,
    client_order_id="c:1",
    post_only=PostOnly.REPRICE,
    stp=SelfTradePrevention.DECREMENT,
    label="l.1",
    max_slippage=1,
    session_id="s-1",
    reduce_only=True,
    display_quantity=5,
    trigger_price=6,
    trigger_by=TriggerBy.MARK,
    trailing_offset=7,
    quote_quantity=8,
    expire_ns=LARGEST,
)
FULL = OrderState(
    order_id=LARGEST,
    terms=FULL_TERMS,
    status=OrderStatus.CANCELED,
    version=3,
    price=LARGEST,
    quantity=LARGEST,
    filled_quantity=LARGEST,
    notional=LARGEST,
    fees=-LARGEST,
    reason=OrderReason.SELF_TRADE,
    created_ns=LARGEST - 1,
    updated_ns=LARGEST,
    engine_seq=1,
    display_quantity=LARGEST,
    trigger_price=LARGEST,
    order_list_id=LARGEST,
)
BARE = msgspec.structs.replace(
    FULL,
    order_id=1,
    terms=PlaceOrder(account_id=7001, symbol="AAPL", side=Side.BUY, type=OrderType.MARKET, quantity=1),
    status=OrderStatus.UNTRIGGERED,
    reason=None,
    display_quantity=None,
    trigger_price=None,
    order_list_id=None,
)


async def test_every_field_of_an_order_comes_back_exactly(database_url: str) -> None:
    engine = create_database_engine(database_url, pool_size=1)
    projector = CoreProjector(database_url, 0)
    await projector.apply(chain([batch(1, accounts={7001: [OrderAccepted(1, FULL), OrderAccepted(2, BARE)]})]))

    assert await get_order(engine, 7001, FULL.order_id) == FULL
    assert await get_order(engine, 7001, BARE.order_id) == BARE
    assert await get_order_by_client_id(engine, 7001, "c:1") == FULL
    assert await list_orders(engine, 7001, limit=10) == [FULL, BARE]
    assert await list_open_orders(engine, 7001) == [BARE]
    assert await list_orders_of_list(engine, 7001, LARGEST) == [FULL]
    assert await list_orders_of_list(engine, 7002, LARGEST) == []

    await projector.close()
    await engine.dispose()


async def test_an_order_is_found_by_either_id_and_only_by_its_account(
    engine: AsyncEngine, projected: MarketStream
) -> None:
    named = [order for order in orders_of(projected) if order.terms.client_order_id]
    for order in named:
        assert order.terms.client_order_id is not None
        assert await get_order(engine, ALICE, order.order_id) == order
        assert await get_order_by_client_id(engine, ALICE, order.terms.client_order_id) == order
        assert await get_order(engine, ACCOUNTS[1], order.order_id) is None
        assert await get_order_by_client_id(engine, ACCOUNTS[1], order.terms.client_order_id) is None
    assert len(named) > 5


async def test_pages_cover_everything_once_newest_first(engine: AsyncEngine, projected: MarketStream) -> None:
    seen: list[OrderState] = []
    before: int | None = None
    while page := await list_orders(engine, ALICE, before=before, limit=7):
        assert len(page) <= 7
        seen += page
        before = page[-1].order_id

    assert seen == orders_of(projected)
    assert len(seen) > 21


@pytest.mark.parametrize("status", list(OrderStatus))
async def test_a_status_narrows_the_list(engine: AsyncEngine, projected: MarketStream, status: OrderStatus) -> None:
    found = await list_orders(engine, ALICE, OrderFilters(status=status), limit=1000)

    assert found == [order for order in orders_of(projected) if order.status is status]


async def test_every_filter_narrows_the_list_alone_and_together(engine: AsyncEngine, projected: MarketStream) -> None:
    everything = orders_of(projected)
    middle_ns = everything[len(everything) // 2].created_ns
    checks: dict[str, tuple[object, Callable[[OrderState], bool]]] = {
        "symbol": ("ETH-USD", lambda order: order.terms.symbol == "ETH-USD"),
        "side": (Side.SELL, lambda order: order.terms.side is Side.SELL),
        "label": ("grid", lambda order: order.terms.label == "grid"),
        "since_ns": (middle_ns, lambda order: order.created_ns >= middle_ns),
        "until_ns": (middle_ns, lambda order: order.created_ns < middle_ns),
    }
    for name, (value, fits) in checks.items():
        found = await list_orders(engine, ALICE, OrderFilters(**{name: value}), limit=1000)  # type: ignore[arg-type]  # by name
        assert found == [order for order in everything if fits(order)]
        assert 0 < len(found) < len(everything)

    both = OrderFilters(symbol="ETH-USD", side=Side.SELL)
    found = await list_orders(engine, ALICE, both, limit=1000)
    assert found == [o for o in everything if o.terms.symbol == "ETH-USD" and o.terms.side is Side.SELL]


@pytest.mark.parametrize("filtered", [False, True], ids=["all open", "by status"])
async def test_open_orders_of_an_account_with_a_long_past_come_from_their_own_index(
    engine: AsyncEngine, projected: MarketStream, module_database_url: str, filtered: bool
) -> None:
    sent: list[tuple[str, tuple[object, ...]]] = []

    def note(*call: object) -> None:
        _, _, statement, values, *_ = call
        assert isinstance(statement, str)
        assert isinstance(values, tuple)
        sent.append((statement, values))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    if filtered:
        found = await list_orders(engine, ALICE, OrderFilters(status=OrderStatus.OPEN), limit=1000)
    else:
        found = await list_open_orders(engine, ALICE)
        assert found == projected.open_orders(ALICE)
    assert found

    (statement, values) = sent[-1]
    connection = await asyncpg.connect(module_database_url)
    # As in production: a prepared statement's plan must not depend on the values it was made with.
    await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
    await connection.execute(f"PREPARE query AS {statement}")
    literals = ", ".join(f"'{value}'" for value in values)
    plan = "".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE query ({literals})"))
    await connection.close()
    assert "ix_orders_open" in plan
