"""Orders of the reference model that wait for a price: what fires them, their queue, and how they run."""

from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    OrderReason,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    TimeInForce,
    TriggerBy,
)
from app.domain.events import Event, OrderTriggered, TradeExecuted
from tests.property.reference_checks import cap_price, opposite
from tests.property.reference_forms import CAPPED, PRICED
from tests.property.reference_gauges import Candidate
from tests.property.reference_listing import INTEGER_MAX
from tests.property.reference_matching import ReferenceMatching
from tests.property.reference_records import RefOrder

TAKES_PROFIT = {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
WAITS = set(OrderType) - {OrderType.LIMIT, OrderType.MARKET}
"""Types that wait for a price."""
MarkInputs = tuple[int | None, int, int, tuple[int, int] | None]


class ReferenceTriggers(ReferenceMatching):
    """Every print, and every change of a mark price, is compared with all orders that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers_max = 256
        self.fired: list[RefOrder] = []
        """Orders whose price was reached, in the order in which they will run."""
        self._mark_inputs: dict[str, MarkInputs] = {}
        self._marks: dict[str, int | None] = {}

    # ---- waiting -------------------------------------------------------------------------------

    def arm(self, order: RefOrder) -> None:
        """Let an order wait for its price; prints of later commands count."""
        terms = order.terms
        order.activated_seq = self.sequence
        if terms.type is OrderType.TRAILING_STOP:
            order.watermark = self.last_prices.get(terms.symbol) or self.reference_price(terms.symbol)
            order.trigger_price = self.first_trigger(terms)
            assert order.trigger_price is not None
            order.price = cap_price(order.trigger_price, order.instrument, terms)

    def _close(self, order: RefOrder) -> None:
        super()._close(order)
        self.unfire(order)

    def unfire(self, order: RefOrder) -> None:
        """Take an order out of the queue."""
        self.fired = [each for each in self.fired if each is not order]

    # ---- comparing -----------------------------------------------------------------------------

    def say(self, event: Event) -> None:
        super().say(event)
        if isinstance(event, TradeExecuted):
            self._compare(event.symbol, TriggerBy.LAST, event.price)

    def compare_marks(self) -> None:
        """Compare the mark prices that differ from those of the last look; only what changed is looked at."""
        for symbol in sorted(self.instruments):
            bid, _, ask, _ = self.public_best(symbol)
            inputs = self.last_prices.get(symbol), bid, ask, self.external.get(symbol)
            if inputs == self._mark_inputs.get(symbol, (None, 0, 0, None)):
                continue
            self._mark_inputs[symbol] = inputs
            mark = self.mark_price(symbol)
            if mark != self._marks.get(symbol):
                self._marks[symbol] = mark
                if mark is not None:
                    self._compare(symbol, TriggerBy.MARK, mark)

    def _compare(self, symbol: str, by: TriggerBy, price: int) -> None:
        for order in sorted(self.open, key=lambda each: each.order_id):
            waits = order.status is OrderStatus.UNTRIGGERED and order not in self.fired
            is_compared = order.terms.symbol == symbol and (order.terms.trigger_by or TriggerBy.LAST) is by
            if waits and is_compared and order.activated_seq < self.sequence:
                trail(order, price)
                if is_reached(order, price):
                    self.fired.append(order)

    # ---- running -------------------------------------------------------------------------------

    def is_awake(self, order: RefOrder) -> bool:
        """Return whether triggers of an order's instrument run now."""
        terms = order.terms
        is_open = self.instruments[terms.symbol].status is InstrumentStatus.OPEN
        return is_open and self.killed(terms.account_id, terms.symbol) is None

    def run_triggers(self) -> None:
        """Run what fired, in order; what sleeps keeps its place."""
        met = 0
        for _ in range(self.triggers_max):
            order = next((each for each in self.fired if self.is_awake(each)), None)
            if order is None or met >= self.operations_max:
                return
            self.unfire(order)
            self.met = 0
            if self.accounts[order.terms.account_id].status is AccountStatus.FROZEN:
                self.end(order, OrderReason.ACCOUNT_FROZEN)
            else:
                self.run(order)
            met += self.met

    def run(self, order: RefOrder) -> None:
        """Let a fired order act as the limit or market order that it becomes."""
        self.before_print(order)
        terms = order.terms
        if terms.type is OrderType.TRAILING_STOP:
            assert order.trigger_price is not None
            order.price = cap_price(order.trigger_price, order.instrument, terms)
        self.activate(order)
        if order not in self.open:
            return
        flagged = terms.reduce_only or self.is_reducing_only(terms.account_id)
        if flagged and order.remaining > self.reducible(terms.account_id, terms.symbol, terms.side, order.order_id):
            self.end(order, OrderReason.REDUCE_ONLY)
        elif not self._in_range(order):
            self.end(order, OrderReason.SLIPPAGE_CAP)
        elif terms.type in CAPPED and self.best(terms.symbol, opposite(terms.side)) == (0, 0):
            self.end(order, OrderReason.NO_LIQUIDITY)
        elif not order.is_buy and self._most(order) > INTEGER_MAX:
            self.end(order, OrderReason.SLIPPAGE_CAP)
        elif terms.time_in_force is TimeInForce.FOK and not self._fillable(order):
            self.end(order, OrderReason.IOC_REMAINDER)
        else:
            self.execute(order)

    def _most(self, order: RefOrder) -> int:
        """Return what a sell could trade for at the best price."""
        best = self.best(order.terms.symbol, Side.BUY)[0]
        return best * order.remaining * order.instrument.notional_unit

    def activate(self, order: RefOrder, status: OrderStatus = OrderStatus.OPEN) -> None:
        """State that an order is active from now on; a post-only one that would take is moved, or canceled."""
        beside = self._beside(order) if status is OrderStatus.OPEN else None
        takes = beside is not None
        moves = beside is not None and beside <= INTEGER_MAX and order.terms.post_only is PostOnly.REPRICE
        if beside is not None and moves and self._is_allowed(order, beside):
            order.price, takes = beside, False
        order.status, order.reason = status, None
        self.mention(order.terms.account_id, order.hold_asset)
        self._advance(order, OrderTriggered)
        if takes:
            self.end(order, OrderReason.POST_ONLY)

    def _in_range(self, order: RefOrder) -> bool:
        """Return whether nothing that the order may do passes 64 bits: not even a sale at the best price."""
        return all(verdict.passed for verdict in self._sums(Candidate(order.terms, order)))

    def _beside(self, order: RefOrder) -> int | None:
        """Return the price beside the best opposite one, if a post-only order would take."""
        terms = order.terms
        best = self.best(terms.symbol, opposite(terms.side))[0]
        takes = best and (order.price >= best if order.is_buy else order.price <= best)
        if terms.post_only is None or terms.type not in PRICED or not takes:
            return None
        return best - 1 if order.is_buy else best + 1

    def _is_allowed(self, order: RefOrder, price: int) -> bool:
        moved = RefOrder(order.order_id, order.terms, order.instrument, price, order.quantity, 0)
        return price >= 1 and all(verdict.passed for verdict in self._band(Candidate(order.terms, moved)))


def trail(order: RefOrder, price: int) -> None:
    """Move a trailing stop behind the best price it has seen."""
    offset = order.terms.trailing_offset
    if offset is None:
        return
    assert order.watermark is not None
    if order.is_buy:
        order.watermark = min(order.watermark, price)
        order.trigger_price = order.watermark + offset
    else:
        order.watermark = max(order.watermark, price)
        order.trigger_price = max(1, order.watermark - offset)


def is_reached(order: RefOrder, price: int) -> bool:
    """Return whether a price fires an order."""
    assert order.trigger_price is not None
    rising = order.is_buy is not (order.terms.type in TAKES_PROFIT)
    return price >= order.trigger_price if rising else price <= order.trigger_price
