"""A maker's ladder: bounded, on both sides, uncrossed, leaning against inventory, and known from frames."""

from typing import Any

from app.dev.bot import INVENTORY_SPAN, Traded
from app.dev.credentials import Credentials
from app.dev.fair_price import FairPrice
from app.dev.maker import FORGET_AFTER, LEVELS, Maker

KEY = Credentials("1", "key", "secret")
BOOK = Traded(
    symbol="BTC-USD",
    base="BTC",
    tick_size=0.01,
    price_digits=2,
    quantity_digits=8,
    min_quantity=0.001,
    usual_quantity=0.1,
    target=1000.0,
    fair=FairPrice(60_000.0, 0.0),
)


def still_book() -> Traded:
    """Return the book with a price of its own that does not move."""
    return BOOK._replace(fair=FairPrice(60_000.0, 0.0))


class FakeSession:
    """Answers every request as an exchange with empty books would, and records it."""

    def __init__(self, maker: Maker) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._maker = maker
        self._last_id = 0

    async def begin(self, action: str, **members: Any) -> dict[str, Any]:
        self.requests.append((action, members))
        if action == "order.cancel":
            order = {"order_id": members["order_id"], "status": "canceled", "version": 2}
        else:
            self._last_id += 1
            order = {**members["order"], "order_id": str(self._last_id), "status": "open", "version": 1}
        return {"order": order}


def a_maker(**balances: float) -> Maker:
    maker = Maker("maker", ["ws://x"], KEY, [BOOK], offset=0.5)
    maker.balances.update(balances)
    return maker


def ladder(maker: Maker) -> dict[str, list[float]]:
    sides: dict[str, list[float]] = {"buy": [], "sell": []}
    for _, side, price in maker.ladder(still_book(), 0.0):
        sides[side].append(float(price))
    return sides


def test_ladder_has_both_sides_around_the_fair_price() -> None:
    sides = ladder(a_maker())
    assert len(sides["buy"]) == len(sides["sell"]) == LEVELS
    assert sides["buy"] == sorted(sides["buy"], reverse=True)
    assert sides["sell"] == sorted(sides["sell"])
    assert sides["buy"][0] < 60_000.0 < sides["sell"][0]


def test_too_much_inventory_lowers_the_ladder_and_too_little_raises_it() -> None:
    span = INVENTORY_SPAN * BOOK.usual_quantity
    even, long, short = (ladder(a_maker(BTC=BOOK.target + shift)) for shift in (0.0, span, -span))
    assert long["sell"][0] < even["sell"][0] < short["sell"][0]
    assert long["buy"][0] < even["buy"][0] < short["buy"][0]


async def test_second_round_at_the_same_price_sends_nothing() -> None:
    maker, book = a_maker(), still_book()
    session = FakeSession(maker)
    await maker.quote(session, book, 0.0)
    assert len(session.requests) == 2 * LEVELS
    assert len({(order["order"]["side"], order["order"]["price"]) for _, order in session.requests}) == 2 * LEVELS
    await maker.quote(session, book, 1.0)
    assert len(session.requests) == 2 * LEVELS


async def test_open_orders_stay_bounded_while_the_price_moves() -> None:
    maker = a_maker()
    session = FakeSession(maker)
    moving = BOOK._replace(fair=FairPrice(60_000.0, 5e-3, seed=4))
    for second in range(200):
        await maker.quote(session, moving, float(second))
        assert len(maker.orders) == 2 * LEVELS
    assert sum(action == "order.cancel" for action, _ in session.requests) > 100


async def test_filled_place_is_taken_again_and_double_orders_leave() -> None:
    maker, book = a_maker(), still_book()
    session = FakeSession(maker)
    await maker.quote(session, book, 0.0)
    number, order = next(iter(maker.orders.items()))
    maker.on_frame({"channel": "orders", "event": "order.filled", "order": {**order, "status": "filled", "version": 2}})
    assert number not in maker.orders
    await maker.quote(session, book, 1.0)
    assert session.requests[-1][1]["order"]["price"] == order["price"]
    maker.on_frame({"channel": "orders", "event": "order.accepted", "order": {**order, "order_id": "999"}})
    await maker.quote(session, book, 2.0)
    assert sum(action == "order.cancel" for action, _ in session.requests) == 1


def test_late_answer_does_not_bring_an_ended_order_back() -> None:
    maker = a_maker()
    opened = {"order_id": "5", "symbol": "BTC-USD", "side": "buy", "price": "1", "status": "open", "version": 1}
    maker.on_frame({"channel": "orders", "order": {**opened, "status": "filled", "version": 2}})
    maker.on_frame({"channel": "orders", "order": opened})
    assert maker.orders == {}
    for number in range(FORGET_AFTER + 10):
        maker.on_frame({"channel": "orders", "order": {**opened, "order_id": str(number), "status": "filled"}})
    assert len(maker.ended) == FORGET_AFTER


def test_snapshot_hands_over_what_was_open() -> None:
    maker = a_maker()
    left = {"order_id": "8", "symbol": "BTC-USD", "side": "buy", "price": "1", "status": "open", "version": 3}
    maker.on_frame({"type": "snapshot", "channel": "orders", "account_seq": 4, "orders": [left]})
    assert list(maker.orders) == ["8"]
