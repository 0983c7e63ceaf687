"""Rare states of single groups of features: which group must reach which, and how each is recognized."""

from collections import Counter
from collections.abc import Sequence

from app.domain.commands import (
    CheckOrder,
    Command,
    PlaceBatch,
    PlaceList,
    PlaceOrder,
    SetReference,
    Tick,
    Transfer,
    UpdateAccount,
)
from app.domain.enums import InstrumentStatus, Liquidity, ListKind, OrderReason, OrderStatus, OrderType, Side
from app.domain.events import (
    AccountUpdated,
    BalanceChanged,
    Event,
    InstrumentListed,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderTriggered,
    PositionChanged,
    TradeExecuted,
)
from app.domain.outcomes import Outcome
from tests.property.reference_model import ReferenceModel

STATES_OF: dict[str, set[str]] = {
    "positions": {"position through zero", "position closed", "loss realized", "part of an odd cost released"},
    "transfers": {"transfer", "transfer repeated"},
    "tiers": {"fee tier captured"},
    "limits": {
        "throttle tripped",
        "throttle released",
        "daily figures of a new day",
        "limit of a tier",
        "limit of an account",
    },
    "reduce_only": {"reduce-only order accepted"},
    "mark": {"mark price moved by a reference alone"},
    "breaker": {"halt in mid-sweep", "halt ends", "halt ends in an auction"},
    "auction": {"uncross leaves buys", "uncross leaves sells", "uncross leaves nothing", "auction without a cross"},
    "kill_switch": {"kill switch cancels in slices"},
    "check_order": {"order validated", "validation fails"},
    "icebergs": {"iceberg refill under a sweep"},
    "triggers": {"stop cascade", "trailing stop moved then fired"},
    "expiry": {"gtd expiry and fill in one batch"},
    "lists": {"bracket fully played", "oco peer was about to fire"},
    "batches": {"atomic batch refused by its last order"},
}
"""By group of features, what its streams must reach."""
FIRED_TYPES = {
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
    OrderType.TRAILING_STOP,
}
ENTRY, TARGET, STOP = range(3)


class FeatureStates:
    """Watches one run for the states of all groups."""

    def __init__(self) -> None:
        self._positions: dict[tuple[int, str], PositionChanged] = {}
        self._throttled: set[int] = set()
        self._accepted: dict[int, OrderAccepted] = {}
        self._ended: dict[int, tuple[OrderStatus, OrderReason | None]] = {}
        self._lists: dict[int, list[int]] = {}
        """Ids of the orders of each bracket."""
        self._cascading: dict[str, bool] = {}
        """By symbol, whether the last print was made by an order that a trigger set off."""
        self._statuses: dict[str, InstrumentStatus] = {}
        self._marks: dict[str, int | None] = {}
        self._expired: set[str] = set()
        self._filled: set[str] = set()
        self._last_day = 0

    def observe(self, command: Command, events: Sequence[Event], model: ReferenceModel) -> list[str]:
        """Return what one command reached; the model is as the command left it."""
        outcome, found = model.outcome, []
        found += self._of_command(command, events, outcome, model)
        found += self._of_phases(command, events, model)
        for event in events:
            if isinstance(event, AccountUpdated):
                found += self._of_account(event, command)
            elif isinstance(event, OrderEvent):
                found += self._of_order(event, model)
        found += self._of_sweep(command, events)
        found += self._of_brackets()
        return found

    def observe_batch(self, sums: Sequence[BalanceChanged | PositionChanged]) -> list[str]:
        """Return what the batch as a whole reached."""
        found = [state for event in sums if isinstance(event, PositionChanged) for state in self._of_position(event)]
        found += ["gtd expiry and fill in one batch"] if self._expired & self._filled else []
        self._expired.clear()
        self._filled.clear()
        return found

    # ---- commands ------------------------------------------------------------------------------

    def _of_command(
        self, command: Command, events: Sequence[Event], outcome: Outcome, model: ReferenceModel
    ) -> list[str]:
        rejection = outcome.rejection
        if isinstance(command, Transfer) and rejection is None:
            return ["transfer repeated" if outcome.duplicate else "transfer"]
        if isinstance(command, CheckOrder) and rejection is None:
            return ["order validated" if all(each.passed for each in outcome.checks) else "validation fails"]
        if isinstance(command, PlaceBatch) and command.atomic and len(outcome.results) > 1:
            reasons = [result.rejection for result in outcome.results]
            others = {None if each is None else each.field for each in reasons[:-1]}
            last = reasons[-1]
            if others == {"orders"} and last is not None and last.field != "orders":
                return ["atomic batch refused by its last order"]
        is_bracket = isinstance(command, PlaceList) and command.kind is ListKind.BRACKET
        if is_bracket and outcome.order_list_id is not None and not outcome.duplicate:
            self._lists[outcome.order_list_id] = [order.order_id for order in outcome.orders]
        if isinstance(command, PlaceOrder) and rejection is not None and rejection.limit is not None:
            return self._of_limit(command, int(rejection.limit), model)
        return []

    def _of_limit(self, terms: PlaceOrder, limit: int, model: ReferenceModel) -> list[str]:
        """Return which level of limits refused an order, if it was one of another level than the exchange."""
        settings, found = model.settings_of(terms.account_id), []
        if limit in settings.limits.values():
            found.append("limit of an account")
        if limit in model.tier_limits.get(settings.tier or "", {}).values():
            found.append("limit of a tier")
        return found

    def _of_account(self, event: AccountUpdated, command: Command) -> list[str]:
        was = event.account_id in self._throttled
        (self._throttled.add if event.throttled else self._throttled.discard)(event.account_id)
        if event.throttled and not was:
            return ["throttle tripped"]
        return ["throttle released"] if was and not event.throttled and isinstance(command, UpdateAccount) else []

    def _of_position(self, event: PositionChanged) -> list[str]:
        before = self._positions.get((event.account_id, event.symbol))
        self._positions[event.account_id, event.symbol] = event
        if before is None:
            return []
        found, was, now = [], int(before.quantity), int(event.quantity)
        if was * now < 0:
            found.append("position through zero")
        if was and not now:
            found.append("position closed")
        if int(event.realized_pnl) < int(before.realized_pnl):
            found.append("loss realized")
        if 0 < abs(now) < abs(was) and int(before.cost) % abs(was):
            found.append("part of an odd cost released")
        return found

    # ---- phases of instruments -----------------------------------------------------------------

    def _of_phases(self, command: Command, events: Sequence[Event], model: ReferenceModel) -> list[str]:
        found = []
        prints = any(isinstance(event, TradeExecuted) for event in events)
        for event in events:
            if not isinstance(event, InstrumentListed):
                continue
            symbol, now = event.instrument.symbol, event.instrument.status
            before = self._statuses.get(symbol)
            self._statuses[symbol] = now
            if before is InstrumentStatus.HALTED and isinstance(command, Tick):
                found.append("halt ends in an auction" if now is InstrumentStatus.AUCTION else "halt ends")
            if before is InstrumentStatus.AUCTION and now is InstrumentStatus.OPEN:
                found.append(self._left_over(symbol, model) if prints else "auction without a cross")
        if isinstance(command, SetReference) and command.symbol in model.instruments:
            mark = model.mark_price(command.symbol)
            if mark != self._marks.get(command.symbol, mark):
                found.append("mark price moved by a reference alone")
            self._marks[command.symbol] = mark
        cancels = [each for each in events if isinstance(each, OrderCanceled)]
        if isinstance(command, Tick) and any(each.order.reason is OrderReason.KILL_SWITCH for each in cancels):
            found.append("kill switch cancels in slices")
        day = model.day
        if prints and day != self._last_day:
            found += ["daily figures of a new day"] if self._last_day else []
            self._last_day = day
        return found

    def _left_over(self, symbol: str, model: ReferenceModel) -> str:
        """Return which side an uncross left at its price."""
        price = model.last_prices[symbol]
        for side, name in ((Side.BUY, "buys"), (Side.SELL, "sells")):
            if (side, price) in model.levels(symbol):
                return f"uncross leaves {name}"
        return "uncross leaves nothing"

    # ---- orders --------------------------------------------------------------------------------

    def _of_order(self, event: OrderEvent, model: ReferenceModel) -> list[str]:
        order, found = event.order, []
        terms, reason = order.terms, order.reason
        if isinstance(event, OrderAccepted):
            found += self._of_accepted(event, model)
        elif isinstance(event, OrderTriggered):
            found += self._of_trigger(event)
        elif isinstance(event, OrderFilled | OrderPartiallyFilled):
            self._filled.add(terms.symbol)
            if event.fill.liquidity is Liquidity.TAKER:
                self._cascading[terms.symbol] = terms.type in FIRED_TYPES
        elif isinstance(event, OrderExpired) and reason is OrderReason.GTD:
            self._expired.add(terms.symbol)
        elif isinstance(event, OrderCanceled):
            found += self._of_cancel(event, model)
        if order.status in (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED):
            self._ended[order.order_id] = order.status, reason
        return found

    def _of_accepted(self, event: OrderAccepted, model: ReferenceModel) -> list[str]:
        order, found = event.order, []
        self._accepted[order.order_id] = event
        if order.terms.reduce_only:
            found.append("reduce-only order accepted")
        listed, captured = model.instruments[order.terms.symbol], self._captured(order.order_id, model)
        if captured is not None and captured != (listed.maker_fee, listed.taker_fee):
            found.append("fee tier captured")
        return found

    def _captured(self, order_id: int, model: ReferenceModel) -> tuple[int, int] | None:
        for order in model.open + model.closed:
            if order.order_id == order_id:
                return order.instrument.maker_fee, order.instrument.taker_fee
        return None

    def _of_trigger(self, event: OrderTriggered) -> list[str]:
        order, found = event.order, []
        if order.terms.type in FIRED_TYPES and self._cascading.get(order.terms.symbol):
            found.append("stop cascade")
        accepted = self._accepted.get(order.order_id)
        moved = accepted is not None and order.trigger_price != accepted.order.trigger_price
        if moved and order.terms.type is OrderType.TRAILING_STOP and order.status is not OrderStatus.UNTRIGGERED:
            found.append("trailing stop moved then fired")
        return found

    def _of_cancel(self, event: OrderCanceled, model: ReferenceModel) -> list[str]:
        """Return whether a breaker stopped a sweep, or the other leg of an OCO could have fired as well."""
        order = event.order
        if order.reason is OrderReason.CIRCUIT_BREAKER and order.filled_quantity:
            return ["halt in mid-sweep"]
        trigger, last = order.trigger_price, model.last_prices.get(order.terms.symbol)
        if order.reason is not OrderReason.OCO_PEER or trigger is None or last is None:
            return []
        rises = order.terms.side is Side.BUY
        if order.terms.type in (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT):
            rises = not rises
        return ["oco peer was about to fire"] if (last >= trigger if rises else last <= trigger) else []

    def _of_sweep(self, command: Command, events: Sequence[Event]) -> list[str]:
        fills = Counter(
            event.order.order_id
            for event in events
            if isinstance(event, OrderFilled | OrderPartiallyFilled)
            and event.fill.liquidity is Liquidity.MAKER
            and event.order.display_quantity is not None
        )
        return ["iceberg refill under a sweep"] if any(times > 1 for times in fills.values()) else []

    def _of_brackets(self) -> list[str]:
        """Return whether a bracket came to its end as it should: entry filled, one exit filled, the other canceled."""
        found = []
        for number, ids in list(self._lists.items()):
            if not all(order_id in self._ended for order_id in ids):
                continue
            del self._lists[number]
            ends = [self._ended[order_id] for order_id in ids]
            filled = [status is OrderStatus.FILLED for status, _ in ends]
            peers = [reason is OrderReason.OCO_PEER for _, reason in ends]
            if filled[ENTRY] and (filled[TARGET] or filled[STOP]) and any(peers):
                found.append("bracket fully played")
        return found
