"""Counts what must have happened for the proof to mean anything: a state that never occurs proves nothing."""

from collections import Counter
from collections.abc import Sequence, Set

from app.domain.commands import AmendOrder, Command, PlaceOrder
from app.domain.enums import (
    Liquidity,
    OrderReason,
    OrderStatus,
    OrderType,
    PostOnly,
    RejectReason,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.domain.events import (
    BookDelta,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderEvent,
    OrderFilled,
    OrderPartiallyFilled,
    OrderState,
    TradeExecuted,
    TradePrevented,
)
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from tests.property.groups import GROUPS
from tests.property.rare_features import STATES_OF, FeatureStates
from tests.property.reference_ledger import RefSealed
from tests.property.reference_model import ReferenceModel

HUGE_NOTIONAL = 2**60
NEVER = {OrderReason.ADMIN}
"""Reasons that no command gives."""
REJECTS_OF = {
    "kill_switch": {RejectReason.KILL_SWITCH},
    "account_settings": {RejectReason.RESTRICTED_SYMBOL},
    "reduce_only": {RejectReason.REDUCE_ONLY_WOULD_INCREASE},
    "limits": {
        RejectReason.ORDER_RATE_LIMIT,
        RejectReason.ORDER_TRADE_RATIO,
        RejectReason.DUPLICATE_ORDER,
        RejectReason.EXECUTION_THROTTLED,
        RejectReason.ORDER_NOTIONAL_LIMIT,
        RejectReason.OPEN_NOTIONAL_LIMIT,
        RejectReason.DAILY_NOTIONAL_LIMIT,
        RejectReason.POSITION_LIMIT,
        RejectReason.DAILY_LOSS_LIMIT,
    },
}
"""Codes that only occur with a group of features; the others occur always."""
REASONS_OF = {
    "breaker": {OrderReason.CIRCUIT_BREAKER},
    "kill_switch": {OrderReason.KILL_SWITCH},
    "reduce_only": {OrderReason.REDUCE_ONLY},
    "lists": {OrderReason.OCO_PEER, OrderReason.PARENT_ENDED, OrderReason.INSUFFICIENT_BALANCE},
    "expiry": {OrderReason.GTD, OrderReason.DAY_END},
    "cancel_after": {OrderReason.CANCEL_AFTER},
    "sessions": {OrderReason.DISCONNECT},
    "triggers": {OrderReason.POST_ONLY, OrderReason.ACCOUNT_FROZEN},
}


def expected(groups: Set[str]) -> set[str]:
    """Return the states that streams with these groups of features must reach."""
    off = [group for group in {*REJECTS_OF, *REASONS_OF} if group not in groups]
    never = NEVER.union(*(REASONS_OF.get(group, set()) for group in off))
    unrefused = set[RejectReason]().union(*(REJECTS_OF.get(group, set()) for group in off))
    found = {f"rejected: {reason}" for reason in RejectReason if reason not in unrefused}
    found |= {f"reason: {reason}" for reason in OrderReason if reason not in never}
    return found.union(ALWAYS_EXPECTED, *(STATES_OF.get(group, set()) for group in groups))


ALWAYS_EXPECTED = {f"prevented: {mode}" for mode in SelfTradePrevention} | {
    "prevented after a fill",
    "decrement leaves the taker open",
    "decrement leaves the maker open",
    "decrement cancels both",
    "fok at exact size",
    "fok refused for an own order",
    "post-only repriced",
    "post-only has no tick left to reprice to",
    "amend keeps its place",
    "amend changes nothing",
    "amend loses its place",
    "amend trades",
    "amend repriced",
    "amend in decimals",
    "amend at or below the filled part",
    "partial fill, then amend, then cancel",
    "partly filled buy amended after fees",
    "repeated order",
    "repeated order after it closed",
    "forgotten client_order_id used anew",
    "rebate paid",
    "fill within a unit already charged",
    "charged less than the captured rate",
    "charged less than the current rate",
    "bought below its limit",
    "market order at its cap",
    "net-zero batch",
    "trade without a delta",
    "several books in one batch",
    "huge notional filled",
}
EXPECTED = expected(GROUPS)


class RareStates:
    """Watches one run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._features = FeatureStates()
        self._open: dict[int, OrderState] = {}
        self._life: dict[int, str] = {}
        """Per order what befell it, one letter each: partly filled, amended, canceled by its user."""
        self._accepted_under: dict[int, Instrument] = {}
        self._client_ids: set[tuple[int, str]] = set()
        self._touched: set[str] = set()

    def observe(self, command: Command, events: Sequence[Event], model: ReferenceModel) -> None:
        """Look at one command; the model is as the command left it."""
        outcome = model.outcome
        found = self._of_command(command, events, outcome) + self._features.observe(command, events, model)
        for event in events:
            if isinstance(event, OrderEvent):
                found += self._of_order(event, model)
                self._touched.add(event.order.terms.symbol)
            elif isinstance(event, TradePrevented):
                found.append(f"prevented: {event.mode}")
                if outcome.fills:
                    found.append("prevented after a fill")
                if event.mode is SelfTradePrevention.DECREMENT:
                    found.append(self._of_decrement(event, events))
        self.counts.update(found)

    def observe_batch(self, sealed: RefSealed) -> None:
        """Look at what a batch published."""
        for symbol in self._touched - {symbol for symbol, (delta, _) in sealed.books.items() if delta is not None}:
            self.counts["trade without a delta" if symbol in sealed.books else "net-zero batch"] += 1
        if sum(isinstance(delta, BookDelta) for delta, _ in sealed.books.values()) > 1:
            self.counts["several books in one batch"] += 1
        self.counts.update(self._features.observe_batch(sealed.sums()))
        self._touched.clear()

    def _of_command(self, command: Command, events: Sequence[Event], outcome: Outcome) -> list[str]:
        found = []
        if outcome.rejection is not None:
            found.append(f"rejected: {outcome.rejection.reason}")
        if isinstance(command, PlaceOrder):
            found += self._of_place(command, outcome)
        elif isinstance(command, AmendOrder) and outcome.order is not None:
            found += self._of_amend(command, events, outcome)
        return found

    def _of_place(self, terms: PlaceOrder, outcome: Outcome) -> list[str]:
        order, rejection = outcome.order, outcome.rejection
        if order is not None:
            return self._of_repeated(order) if outcome.duplicate else self._of_accepted(order, outcome)
        if rejection is None:
            return []
        if rejection.reason is RejectReason.POST_ONLY_WOULD_TAKE and terms.post_only is PostOnly.REPRICE:
            return ["post-only has no tick left to reprice to"]
        if rejection.reason is RejectReason.FOK_NOT_FILLABLE and self._own_order_in_reach(terms):
            return ["fok refused for an own order"]
        return []

    def _of_repeated(self, order: OrderState) -> list[str]:
        is_open = order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
        return ["repeated order"] if is_open else ["repeated order after it closed"]

    def _of_accepted(self, order: OrderState, outcome: Outcome) -> list[str]:
        found, terms = [], order.terms
        if terms.client_order_id is not None:
            key = terms.account_id, terms.client_order_id
            if key in self._client_ids:
                found.append("forgotten client_order_id used anew")
            self._client_ids.add(key)
        if terms.post_only is not None and order.price != terms.price:
            found.append("post-only repriced")
        if terms.time_in_force is TimeInForce.FOK and self._nothing_left(order, outcome):
            found.append("fok at exact size")
        return found

    def _nothing_left(self, order: OrderState, outcome: Outcome) -> bool:
        """Return whether the order took all that its price reaches."""
        assert outcome.book is not None
        if order.terms.side is Side.BUY:
            return not outcome.book.ask or outcome.book.ask > order.price
        return not outcome.book.bid or outcome.book.bid < order.price

    def _own_order_in_reach(self, terms: PlaceOrder) -> bool:
        """Return whether others and own orders together would have filled it."""
        price = terms.price
        if price is None:
            return False
        reachable = [
            o
            for o in self._open.values()
            if o.terms.symbol == terms.symbol
            and o.terms.side is not terms.side
            and (o.price <= price if terms.side is Side.BUY else o.price >= price)
        ]
        own = any(o.terms.account_id == terms.account_id for o in reachable)
        return own and sum(o.remaining_quantity for o in reachable) >= terms.quantity

    def _of_amend(self, command: AmendOrder, events: Sequence[Event], outcome: Outcome) -> list[str]:
        assert outcome.order is not None
        found = [] if command.price_scale is None else ["amend in decimals"]
        if not events:
            return [*found, "amend changes nothing"]
        if isinstance(events[0], OrderCanceled):
            below = events[0].order.filled_quantity > 0
            return [*found, "amend at or below the filled part"] if below else found
        found.append("amend keeps its place" if outcome.priority == "kept" else "amend loses its place")
        if any(isinstance(event, TradeExecuted) for event in events):
            found.append("amend trades")
        if command.price is not None and command.price_scale is None and outcome.order.price != command.price:
            found.append("amend repriced")
        return found

    def _of_order(self, event: OrderEvent, model: ReferenceModel) -> list[str]:
        order, found = event.order, []
        number = order.order_id
        if order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
            self._open[number] = order
        else:
            self._open.pop(number, None)
        if order.reason is not None:
            found.append(f"reason: {order.reason}")
        if isinstance(event, OrderAccepted):
            self._accepted_under[number] = model.instruments[order.terms.symbol]
            if order.terms.type is OrderType.MARKET:
                found.append("market order at its cap")
        life = self._life.get(number, "")
        if isinstance(event, OrderAmended):
            life += "a"
            if order.terms.side is Side.BUY and order.filled_quantity and order.fees > 0:
                found.append("partly filled buy amended after fees")
        elif isinstance(event, OrderCanceled) and order.reason is OrderReason.USER:
            life += "c"
            if "p" in life and life.endswith("ac") and life.index("p") < life.rindex("a"):
                found.append("partial fill, then amend, then cancel")
        elif isinstance(event, OrderFilled | OrderPartiallyFilled):
            life += "p"
            found += self._of_fill(event, model)
        self._life[number] = life
        return found

    def _of_fill(self, event: OrderFilled | OrderPartiallyFilled, model: ReferenceModel) -> list[str]:
        order, fill, found = event.order, event.fill, []
        instrument = model.instruments[order.terms.symbol]
        captured = self._accepted_under[order.order_id]
        name = "maker_fee" if fill.liquidity is Liquidity.MAKER else "taker_fee"
        was, now = getattr(captured, name), getattr(instrument, name)
        if was != now:
            found.append(f"charged less than the {'captured' if now < was else 'current'} rate")
        if fill.fee < 0:
            found.append("rebate paid")
        if fill.fee == 0 and order.fees > 0 and min(was, now) > 0:
            found.append("fill within a unit already charged")
        if order.terms.side is Side.BUY and fill.price < order.price:
            found.append("bought below its limit")
        if order.notional > HUGE_NOTIONAL:
            found.append("huge notional filled")
        return found

    def _of_decrement(self, event: TradePrevented, events: Sequence[Event]) -> str:
        ids = event.taker_order_id, event.maker_order_id
        place = next(number for number, each in enumerate(events) if each is event)
        kinds = {
            each.order.order_id: type(each) for each in events[place + 1 : place + 3] if isinstance(each, OrderEvent)
        }
        if kinds.get(ids[0]) is OrderAmended:
            return "decrement leaves the taker open"
        if kinds.get(ids[1]) is OrderAmended:
            return "decrement leaves the maker open"
        return "decrement cancels both"
