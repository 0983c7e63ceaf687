"""What placing, amending and triggering an order share: prices that do not take, resting, and refusals.

Events go to the recorder on the way, which makes the answer to what succeeds; each command's method returns it.
"""

from typing import NamedTuple

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderReason, OrderStatus, PostOnly, RejectReason, TimeInForce
from app.domain.events import Rejection
from app.domain.outcomes import Outcome
from app.engine import controls, risk
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.kill_switch import check_kill_switch
from app.engine.ledger import Ledger
from app.engine.limits import counts_of
from app.engine.matching import Matcher
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, Balance, Order, State
from app.engine.trigger_watch import TriggerWatch

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_IOC_REMAINDER = OrderReason.IOC_REMAINDER
_REASON_NO_LIQUIDITY = OrderReason.NO_LIQUIDITY
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP
_LIVE = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
_ENDED = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED)
_POST_ONLY_REPRICE = PostOnly.REPRICE
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class Parts(NamedTuple):
    """What an engine is made of, for those that execute commands with it."""

    state: State
    ledger: Ledger
    matcher: Matcher
    recorder: Recorder
    watch: TriggerWatch


class Desk:
    """Base of those that bring orders to a book."""

    __slots__ = ("_ledger", "_matcher", "_recorder", "_state", "_watch")

    def __init__(self, parts: Parts) -> None:
        self._state = parts.state
        self._ledger = parts.ledger
        self._matcher = parts.matcher
        self._recorder = parts.recorder
        self._watch = parts.watch

    def _post_only_price(self, book: Book, terms: PlaceOrder, price: int) -> tuple[int, Rejection | None]:
        """Return a price that does not take, or the refusal."""
        is_buy = book.side(terms.side) is book.bids
        best = book.opposite(terms.side).best
        if best is None or (price < best.price if is_buy else price > best.price):
            return price, None
        if terms.post_only is _POST_ONLY_REPRICE:
            price = best.price - 1 if is_buy else best.price + 1
            if price > 0:
                return price, None
        return 0, refuse(
            RejectReason.POST_ONLY_WOULD_TAKE, field="price", limit=best.price, actual=terms.price, unit="ticks"
        )

    def _would_take(self, order: Order) -> bool:
        """Return whether an order crosses the best opposite price."""
        best = order.book.opposite(order.terms.side).best
        return best is not None and (order.price >= best.price if order.is_buy else order.price <= best.price)

    def _reprice(self, order: Order) -> bool:
        """Move a post-only order that would take to where it does not; returns False if it must not or cannot be."""
        if order.terms.post_only is not _POST_ONLY_REPRICE:
            return False
        price, _ = self._post_only_price(order.book, order.terms, order.price)
        if not 0 < price <= INTEGER_MAX or risk.check_band(order.book, price) is not None:
            return False
        order.price = price
        return True

    def _execute(self, order: Order) -> None:
        """Let an order that may trade now meet the book, and rest or end with what is left of it."""
        if order.terms.quote_quantity is not None:
            self._matcher.spend(order)
            if order.status in _LIVE:
                self._rest(order)
            return
        self._matcher.match(order)
        if order.remaining:
            self._rest(order)

    def _rest(self, order: Order) -> None:
        """Put what is left in the book, or cancel it if it must not rest."""
        terms = order.terms
        if terms.price is None:
            empty = order.book.opposite(terms.side).best is None
            self._matcher.close(order, _REASON_NO_LIQUIDITY if empty else _REASON_SLIPPAGE_CAP)
        elif terms.time_in_force in _AT_ONCE:
            self._matcher.close(order, _REASON_IOC_REMAINDER)
        else:
            (order.book.bids if order.is_buy else order.book.asks).add(order)

    def _check_entry(
        self, terms: PlaceOrder, account: Account, book: Book, lots: int, amended: Order | None = None
    ) -> Rejection | None:
        """Refuse what may not be sent at all, or not now; counts the message if it comes that far."""
        state = self._state
        rejection = check_kill_switch(state, account, book) if state.kills else None
        if rejection is None and account.is_restrained:
            rejection = controls.check_restricted(account, book)
        if rejection is None:
            rejection = risk.check_phase(book, terms) or risk.check_frozen(account)
        if rejection is None:
            rejection = controls.check_reduce_only(account, book, terms, lots, amended)
        if rejection is None:
            rejection = controls.check_throttle(account)
        if rejection is None:
            rejection = controls.check_rates(state, account, book)
        return controls.check_ratio(state, account, book) if rejection is None else rejection

    def _count_rejection(self, account: Account) -> None:
        counts = counts_of(self._state, account)
        if counts is not None:
            counts.rejections += 1

    def insufficient(self, order: Order, missing: int) -> Rejection:
        """Return the refusal of an order for whose hold so much is missing."""
        return insufficient(order.balance, order.balance.available + missing)

    def _not_open(self, order: Order | None, account: Account, symbols: tuple[str, ...] | None) -> Rejection | None:
        """Return the refusal for an order that is not there, not the caller's, or ended."""
        if order is None or order.account is not account:
            return refuse(RejectReason.UNKNOWN_ORDER)
        if symbols is not None and order.terms.symbol not in symbols:
            return refuse(RejectReason.UNKNOWN_ORDER)
        if order.status in _ENDED:
            return refuse(RejectReason.ORDER_NOT_OPEN)
        return None

    def _outcome(self, **members: object) -> Outcome:
        state = self._state
        return Outcome(state.sequence, state.timestamp_ns, **members)  # type: ignore[arg-type]  # members of Outcome by name


def insufficient(balance: Balance, required: int) -> Rejection:
    """Return the refusal of a hold that an account cannot pay."""
    return refuse(RejectReason.INSUFFICIENT_BALANCE, limit=balance.available, actual=required, unit=balance.asset)
