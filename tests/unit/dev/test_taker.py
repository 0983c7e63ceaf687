"""A taker's orders: sound ones only where there is something to take, and against its inventory."""

from app.dev.bot import INVENTORY_SPAN, Traded
from app.dev.credentials import Credentials
from app.dev.fair_price import FairPrice
from app.dev.taker import SIZE_MAX, Taker

BOOK = Traded("AAPL", "AAPL", 0.01, 2, 4, 0.01, 5.0, 1000.0, FairPrice(200.0, 0.0))


def a_taker(*, bid: str | None = "199.9", ask: str | None = "200.1", held: float = 1000.0) -> Taker:
    taker = Taker("taker", ["ws://x"], Credentials("1", "key", "secret"), [BOOK])
    taker.balances["AAPL"] = held
    taker.on_frame({"type": "ticker", "channel": "ticker:AAPL", "symbol": "AAPL", "bid": bid, "ask": ask})
    return taker


def test_orders_are_market_or_immediate_limits_at_the_best_price() -> None:
    taker = a_taker()
    orders = [order for _ in range(500) if (order := taker.next_order()) is not None]
    assert len(orders) == 500
    assert {order["type"] for order in orders} == {"market", "limit"}
    for order in orders:
        if order["type"] == "limit":
            assert order["time_in_force"] == "ioc"
            assert order["price"] == ("200.1" if order["side"] == "buy" else "199.9")
        assert BOOK.min_quantity <= float(order["quantity"]) <= SIZE_MAX * BOOK.usual_quantity
        assert len(order["quantity"].partition(".")[2]) <= BOOK.quantity_digits


def test_nothing_is_sent_to_an_empty_side() -> None:
    taker = a_taker(ask=None)
    sides = {order["side"] for _ in range(200) if (order := taker.next_order()) is not None}
    assert sides == {"sell"}


def test_full_inventory_is_sold_and_an_empty_one_bought() -> None:
    span = INVENTORY_SPAN * BOOK.usual_quantity

    def buys(held: float) -> int:
        taker = a_taker(held=held)
        return sum(order["side"] == "buy" for _ in range(400) if (order := taker.next_order()) is not None)

    assert buys(1000.0 + span) < 60 < 150 < buys(1000.0) < 250 < 340 < buys(1000.0 - span)
