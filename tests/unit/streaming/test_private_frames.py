"""Private events as frames: the right channels, decimal text, refusals with their numbers."""

import json
from typing import Any

import msgspec
import pytest

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, RejectReason, SelfTradePrevention, Side
from app.domain.events import (
    BalanceChanged,
    OrderAmendRejected,
    OrderCancelRejected,
    OrderRejected,
    PositionChanged,
    PrivateEvent,
    Rejection,
    TradePrevented,
)
from app.protocol import messages
from app.protocol.channels import PrivateChannel
from app.protocol.holdings import PositionFigures
from app.streaming.catalog import Catalog
from app.streaming.private_frames import EventFrames, snapshot_text
from app.streaming.sources import AccountEvent, AccountSeed, CatalogSeed
from tests.unit.streaming.exchange import ALICE, SYMBOL, instrument

NOW_NS = 1_700_000_000_000_000_000
CATALOG = Catalog()
CATALOG.seed(CatalogSeed(1, [instrument()], {"USD": 5, "BTC": 8}))
TERMS = PlaceOrder(ALICE, SYMBOL, Side.BUY, OrderType.LIMIT, 1500, 250, client_order_id="c1")


def rendered(event: PrivateEvent, channel: PrivateChannel = PrivateChannel.ORDERS) -> dict[str, Any]:
    frames = EventFrames(AccountEvent(event, NOW_NS), CATALOG)
    assert channel in frames.channels
    frame: dict[str, Any] = json.loads(frames.text(channel, 6))
    msgspec.convert(frame, messages.PrivateEvent)
    assert (frame["account_seq"], frame["prev_account_seq"]) == (7, 6)
    assert frame["ts"] == "2023-11-14T22:13:20.000000Z"
    return frame


def test_rejected_order_tells_why_in_the_clients_numbers() -> None:
    rejection = Rejection(RejectReason.PRICE_BAND, "price", "300", "250", "ticks")
    frame = rendered(OrderRejected(7, 90, TERMS, rejection))
    assert (frame["event"], frame["order"]["status"], frame["order"]["order_id"]) == (
        "order.rejected",
        "rejected",
        None,
    )
    assert (frame["order"]["price"], frame["order"]["quantity"]) == ("2.5", "1.5")
    error = frame["error"]
    assert (error["code"], error["field"], error["limit"], error["actual"]) == ("price_band", "price", "3", "2.5")


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("lots", "1500", "1.5"),
        ("USD", "123456", "1.23456"),
        ("count", "12", "12"),
        ("EUR", "5", None),
        (None, "5", "5"),
    ],
)
def test_numbers_of_a_refusal_are_shown_by_their_unit(unit: str | None, value: str, shown: str | None) -> None:
    frame = rendered(
        OrderRejected(7, 90, TERMS, Rejection(RejectReason.INSUFFICIENT_BALANCE, None, value, value, unit))
    )
    assert frame["error"].get("limit") == shown


def test_order_for_an_unknown_instrument_shows_the_refusal_alone() -> None:
    terms = msgspec.structs.replace(TERMS, symbol="NOPE")
    frame = rendered(OrderRejected(7, 90, terms, Rejection(RejectReason.UNKNOWN_SYMBOL)))
    assert "order" not in frame
    assert frame["error"]["code"] == "unknown_symbol"


def test_refused_cancel_and_amend_name_their_order() -> None:
    rejection = Rejection(RejectReason.ORDER_NOT_OPEN)
    frame = rendered(OrderCancelRejected(7, 90, ALICE, None, "c1", rejection))
    assert (frame["event"], frame["client_order_id"], "order_id" in frame) == ("order.cancel_rejected", "c1", False)
    frame = rendered(OrderAmendRejected(7, 90, ALICE, 12, rejection))
    assert (frame["event"], frame["order_id"], frame["error"]["code"]) == (
        "order.amend_rejected",
        "12",
        "order_not_open",
    )
    ticks = Rejection(RejectReason.PRICE_BAND, "price", "300", "250", "ticks")
    frame = rendered(OrderAmendRejected(7, 90, ALICE, 12, ticks))
    assert "limit" not in frame["error"], "without its instrument a number of ticks says nothing"


def test_prevented_trade_is_shown_on_orders() -> None:
    event = TradePrevented(7, 90, ALICE, SYMBOL, 5, 3, 250, 1500, SelfTradePrevention.CANCEL_OLDEST)
    assert rendered(event)["prevention"] == {
        "symbol": SYMBOL,
        "taker_order_id": "5",
        "maker_order_id": "3",
        "price": "2.5",
        "quantity": "1.5",
        "stp": "cancel_oldest",
    }


def test_balance_is_shown_in_its_assets_scale() -> None:
    frame = rendered(BalanceChanged(7, 90, ALICE, "BTC", str(10**30), "150000000"), PrivateChannel.BALANCES)
    assert frame["balance"] == {"asset": "BTC", "available": "1" + "0" * 22, "held": "1.5"}


def test_position_is_shown_on_its_channel_without_what_depends_on_a_price() -> None:
    listed = instrument()
    cost = 3 * 1500 * listed.notional_unit
    frame = rendered(PositionChanged(7, 90, ALICE, SYMBOL, "-3", str(cost), "-5", "7"), PrivateChannel.POSITIONS)
    position = frame["position"]
    assert position.keys() == {"symbol", "quantity", "average_price", "realized_pnl", "fees"}
    assert position["quantity"].startswith("-")
    snapshot = json.loads(
        snapshot_text(
            PrivateChannel.POSITIONS,
            AccountSeed(0, 7, [], [], [PositionFigures(SYMBOL, -3, cost, -5, 7)]),
            CATALOG,
            lambda symbol: symbol == SYMBOL,
        )
    )
    assert snapshot["positions"] == [position]
    hidden = snapshot_text(
        PrivateChannel.POSITIONS,
        AccountSeed(0, 7, [], [], [PositionFigures(SYMBOL, 1, 1, 0, 0)]),
        CATALOG,
        lambda _: False,
    )
    assert json.loads(hidden)["positions"] == []
