"""The reference model over whole commands, worked out by hand: auctions, the breaker, kill switches, trims."""

from typing import Any

from app.domain.commands import (
    CheckOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    SetKillSwitch,
    SetLimits,
    Tick,
    UpdateInstrument,
)
from app.domain.enums import (
    InstrumentStatus,
    KillSwitchScope,
    OrderReason,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
    TimeInForce,
)
from app.domain.events import (
    AccountUpdated,
    BookDelta,
    Event,
    InstrumentListed,
    OrderCanceled,
    PositionChanged,
    TradeExecuted,
)
from app.domain.outcomes import Outcome
from tests.property.reference_auction import Uncross, uncross_at
from tests.property.reference_ledger import RefSealed
from tests.property.reference_model import ReferenceModel

BUY, SELL = Side.BUY, Side.SELL
OPEN, AUCTION, HALTED = InstrumentStatus.OPEN, InstrumentStatus.AUCTION, InstrumentStatus.HALTED
SECOND_NS = 10**9
START_NS = 1_700_000_000 * SECOND_NS
ANN, BOB = 1001, 1002


class WholeModel(ReferenceModel):
    """Everything switched on."""

    auctions_held = True


class Exchange:
    """A model with one instrument and two clients."""

    def __init__(self, **instrument: Any) -> None:
        self.model = WholeModel()
        self.model.begin(START_NS)
        setup: list[Command] = [CreateAsset("B", 0), CreateAsset("Q", 0)]
        setup += [CreateInstrument("BQ", "B", "Q", "1", "1", **instrument), CreateAccount("ann"), CreateAccount("bob")]
        setup += [Deposit(owner, asset, "1000000", asset) for owner in (ANN, BOB) for asset in "BQ"]
        for command in setup:
            self.do(command)
        self.model.seal()

    @property
    def outcome(self) -> Outcome:
        return self.model.outcome

    @property
    def status(self) -> InstrumentStatus:
        return self.model.instruments["BQ"].status

    def do(self, command: Command) -> list[Event]:
        return list(self.model.apply(command))

    def place(self, account_id: int, side: Side, quantity: int, price: int | None, **terms: Any) -> list[Event]:
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        return self.do(PlaceOrder(account_id, "BQ", side, kind, quantity, price, **terms))

    def enter(self, status: InstrumentStatus) -> list[Event]:
        return self.do(UpdateInstrument("BQ", status))

    def later(self, nanoseconds: int) -> list[Event]:
        """Let time pass and act."""
        self.model.seal()
        self.model.begin(self.model.timestamp_ns + nanoseconds)
        return self.do(Tick())

    def seal(self) -> RefSealed:
        return self.model.seal()

    def positions(self) -> list[PositionChanged]:
        """Seal; return the positions that the batch stated, by account."""
        accounts = self.seal().accounts
        return [event for key in sorted(accounts) for event in accounts[key] if isinstance(event, PositionChanged)]

    def refusal(self) -> RejectReason | None:
        rejection = self.outcome.rejection
        return None if rejection is None else rejection.reason


def prints(events: list[Event]) -> list[tuple[int, int, int, int]]:
    """Return price, lots, maker's and taker's order of each print."""
    trades = [event for event in events if isinstance(event, TradeExecuted)]
    return [(trade.price, trade.quantity, trade.maker_order_id, trade.taker_order_id) for trade in trades]


def deltas(sealed: RefSealed) -> list[BookDelta]:
    return [delta for delta, _ in sealed.books.values() if delta is not None]


# ---- auction -----------------------------------------------------------------------------------


def test_an_auction_collects_crossing_orders_and_uncrosses_them_at_one_price() -> None:
    exchange = Exchange()
    exchange.place(ANN, BUY, 5, 90)
    exchange.seal()
    exchange.enter(AUCTION)
    sealed = exchange.seal()
    assert [(delta.bids, delta.asks) for delta in deltas(sealed)] == [([(90, 0)], [])]
    assert not prints(exchange.place(ANN, BUY, 10, 105))
    assert not prints(exchange.place(BOB, SELL, 4, 100))
    assert not prints(exchange.place(BOB, SELL, 3, 103))
    assert exchange.outcome.book is not None
    assert exchange.outcome.book.bid == exchange.outcome.book.ask == 0
    sealed = exchange.seal()
    assert not deltas(sealed)
    indicated = sealed.auctions["BQ"]
    assert (indicated.price, indicated.quantity, indicated.surplus) == (103, 7, 3)
    events = exchange.enter(OPEN)
    assert prints(events) == [(103, 4, 2, 3), (103, 3, 2, 4)]
    assert [event.instrument.status for event in events if isinstance(event, InstrumentListed)] == [OPEN]
    assert [(delta.bids, delta.asks) for delta in deltas(exchange.seal())] == [([(105, 3), (90, 5)], [])]


def test_a_later_bid_takes_from_the_earlier_ask() -> None:
    exchange = Exchange(maker_fee=10_000_000, taker_fee=20_000_000)
    exchange.enter(AUCTION)
    exchange.place(BOB, SELL, 1, 100)
    exchange.place(ANN, BUY, 1, 100)
    assert prints(exchange.enter(OPEN)) == [(100, 1, 1, 2)]
    fees = {event.account_id: event.fees for event in exchange.positions()}
    assert fees == {ANN: "20", BOB: "10"}


def test_an_auction_refuses_what_cannot_wait() -> None:
    exchange = Exchange()
    exchange.enter(AUCTION)
    for terms in ({"time_in_force": TimeInForce.IOC}, {"post_only": "reject"}):
        exchange.place(ANN, BUY, 1, 10, **terms)
        assert exchange.refusal() is RejectReason.INSTRUMENT_NOT_OPEN


def test_own_orders_meet_when_they_enter_an_auction() -> None:
    exchange = Exchange()
    exchange.enter(AUCTION)
    exchange.place(ANN, SELL, 5, 100)
    exchange.place(ANN, BUY, 5, 99)
    exchange.place(ANN, BUY, 5, 101)
    assert exchange.outcome.order is not None
    assert (exchange.outcome.order.status, exchange.outcome.order.reason) == (
        OrderStatus.CANCELED,
        OrderReason.SELF_TRADE,
    )


def test_a_crossed_book_opens_through_its_auction_only() -> None:
    exchange = Exchange()
    exchange.enter(AUCTION)
    exchange.place(ANN, BUY, 5, 105)
    exchange.place(BOB, SELL, 5, 100)
    exchange.enter(InstrumentStatus.POST_ONLY)
    assert exchange.refusal() is RejectReason.INSTRUMENT_NOT_OPEN
    exchange.enter(HALTED)
    exchange.enter(OPEN)
    assert exchange.refusal() is RejectReason.INSTRUMENT_NOT_OPEN
    assert exchange.status is HALTED
    assert not deltas(exchange.seal())
    exchange.enter(AUCTION)
    assert prints(exchange.enter(OPEN)) == [(100, 5, 1, 2)]


def test_a_long_uncross_goes_on_in_slices_at_one_price() -> None:
    exchange = Exchange()
    exchange.model.uncross_operations_max = 2
    exchange.enter(AUCTION)
    for _ in range(5):
        exchange.place(ANN, BUY, 1, 105)
        exchange.place(BOB, SELL, 1, 100)
    assert len(prints(exchange.enter(OPEN))) == 2
    assert exchange.status is AUCTION
    exchange.place(ANN, BUY, 1, 99)
    assert exchange.refusal() is RejectReason.INSTRUMENT_NOT_OPEN
    assert {price for price, *_ in prints(exchange.later(1))} == {100}
    events = exchange.later(1)
    assert len(prints(events)) == 1
    assert exchange.status is OPEN


def test_auction_takes_the_price_of_most_volume() -> None:
    bids, asks = [(105, 5), (103, 10), (100, 20)], [(99, 8), (102, 9), (104, 30)]
    # Volume at 99..100: 8; at 102 and 103: min(15, 17); at 104: min(5, 47).
    assert uncross_at(bids, asks, 1) == Uncross(102, 15, -2)


def test_auction_prefers_the_least_surplus_of_equal_volume() -> None:
    bids, asks = [(105, 10), (103, 5)], [(100, 10)]
    # 10 lots everywhere from 100 to 105: with a surplus of 5 up to 103, of none above.
    assert uncross_at(bids, asks, 1) == Uncross(105, 10, 0)


def test_auction_prefers_the_price_nearest_to_the_reference() -> None:
    bids, asks = [(105, 10)], [(100, 10)]
    assert uncross_at(bids, asks, 99) == Uncross(100, 10, 0)
    assert uncross_at(bids, asks, 103) == Uncross(103, 10, 0)
    assert uncross_at(bids, asks, 200) == Uncross(105, 10, 0)


def test_auction_prefers_the_lower_price_at_last() -> None:
    assert uncross_at([(105, 10)], [(100, 10)], None) == Uncross(100, 10, 0)


def test_auction_says_nothing_without_a_cross() -> None:
    assert uncross_at([(99, 10)], [(100, 10)], 99) == Uncross(0, 0, 0)
    assert uncross_at([], [(100, 10)], None) == Uncross(0, 0, 0)


# ---- breaker -----------------------------------------------------------------------------------


def test_the_breaker_halts_in_mid_sweep_and_reopens_by_an_auction() -> None:
    exchange = Exchange(
        breaker_move=5_000_000, breaker_window_ns=SECOND_NS, breaker_halt_ns=10 * SECOND_NS, auction_ns=2 * SECOND_NS
    )
    for price in (100, 105, 106):
        exchange.place(BOB, SELL, 1, price)
    exchange.place(ANN, BUY, 1, 100)
    exchange.later(SECOND_NS)
    events = exchange.place(ANN, BUY, 2, 110)
    assert [price for price, *_ in prints(events)] == [105]
    assert [event.order.reason for event in events if isinstance(event, OrderCanceled)] == [OrderReason.CIRCUIT_BREAKER]
    assert exchange.status is HALTED
    exchange.later(10 * SECOND_NS - 1)
    assert exchange.status is HALTED
    exchange.later(1)
    assert exchange.status is AUCTION
    exchange.later(2 * SECOND_NS)
    assert exchange.status is OPEN
    assert exchange.model.breaker_base("BQ") is None


def test_fill_or_kill_reaches_no_further_than_the_breaker() -> None:
    exchange = Exchange(breaker_move=5_000_000, breaker_window_ns=SECOND_NS, breaker_halt_ns=SECOND_NS)
    for price in (100, 105, 106):
        exchange.place(BOB, SELL, 1, price)
    exchange.place(ANN, BUY, 1, 100)
    exchange.later(SECOND_NS)
    exchange.place(ANN, BUY, 2, 110, time_in_force=TimeInForce.FOK)
    assert exchange.refusal() is RejectReason.FOK_NOT_FILLABLE
    assert prints(exchange.place(ANN, BUY, 1, 110, time_in_force=TimeInForce.FOK))


def test_an_administrator_takes_over_from_the_breaker() -> None:
    exchange = Exchange(breaker_move=5_000_000, breaker_window_ns=SECOND_NS, breaker_halt_ns=SECOND_NS)
    for price in (100, 106):
        exchange.place(BOB, SELL, 1, price)
    exchange.place(ANN, BUY, 2, 110)
    assert exchange.status is HALTED
    exchange.enter(HALTED)
    exchange.later(SECOND_NS)
    assert exchange.status is HALTED


# ---- kill switch, reduce-only, throttle, validation --------------------------------------------------


def test_a_kill_switch_cancels_by_ticks_in_slices() -> None:
    exchange = Exchange()
    exchange.model.slice_max = 2
    for _ in range(3):
        exchange.place(ANN, BUY, 1, 10)
    exchange.place(BOB, BUY, 1, 10)
    assert not any(
        isinstance(e, OrderCanceled) for e in exchange.do(SetKillSwitch(KillSwitchScope.ACCOUNT, "1001", True))
    )
    exchange.place(ANN, BUY, 1, 10)
    assert exchange.refusal() is RejectReason.KILL_SWITCH
    assert [sum(isinstance(e, OrderCanceled) for e in exchange.later(1)) for _ in range(3)] == [2, 1, 0]
    exchange.do(SetKillSwitch(KillSwitchScope.ACCOUNT, "1001", True))
    assert exchange.outcome.duplicate
    exchange.do(SetKillSwitch(KillSwitchScope.ACCOUNT, "1001", False))
    exchange.place(ANN, BUY, 1, 10)
    assert exchange.refusal() is None
    assert len(exchange.model.open) == 2


def test_reduce_only_orders_shrink_with_the_position_newest_first() -> None:
    exchange = Exchange()
    exchange.place(BOB, SELL, 10, 100)
    exchange.place(ANN, BUY, 10, 100)
    for quantity in (4, 3, 3):
        exchange.place(ANN, SELL, quantity, 200, reduce_only=True)
    exchange.place(BOB, BUY, 5, 90)
    events = exchange.place(ANN, SELL, 5, 90)
    canceled = [event.order for event in events if isinstance(event, OrderCanceled)]
    assert [(order.quantity, order.reason) for order in canceled] == [(3, OrderReason.REDUCE_ONLY)] * 2
    assert [event.quantity for event in exchange.positions()] == ["5", "-5"]


def test_a_throttle_is_stated_at_the_end_of_the_command() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"execution_rate": "1"}))
    for _ in range(3):
        exchange.place(BOB, SELL, 1, 100)
    events = exchange.place(ANN, BUY, 3, 100)
    updated = [place for place, event in enumerate(events) if isinstance(event, AccountUpdated)]
    traded = [place for place, event in enumerate(events) if isinstance(event, TradeExecuted)]
    assert len(traded) == 3
    assert len(updated) == 1
    assert updated[0] > traded[-1]


def test_validation_runs_every_check_and_changes_nothing() -> None:
    exchange = Exchange()
    exchange.do(SetLimits({"order_notional": "50", "message_rate": "1"}))
    for _ in range(2):
        assert exchange.do(CheckOrder(PlaceOrder(ANN, "BQ", BUY, OrderType.LIMIT, 10**6, 100))) == []
        checks = {check.check: check for check in exchange.outcome.checks}
        assert [name for name, check in checks.items() if not check.passed] == [
            "order_notional_limit",
            "insufficient_balance",
        ]
        assert (checks["order_rate_limit"].limit, checks["order_rate_limit"].used) == ("1", "1")
        assert (checks["open_order_limit"].limit, checks["open_order_limit"].used) == ("5000", "1")
    exchange.do(CheckOrder(PlaceOrder(ANN, "BQ", BUY, OrderType.LIMIT, 1)))
    assert [(check.check, check.passed) for check in exchange.outcome.checks][-1] == ("invalid_request", False)
