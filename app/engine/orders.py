"""Place, cancel and amend: from a command to a changed book, or to a refusal that changes nothing.

Each method returns the outcome of its command; events go to the recorder on the way.
"""

import msgspec

from app.domain.commands import AmendOrder, CancelAll, CancelOrder, PlaceOrder
from app.domain.decimals import Step, count_steps
from app.domain.enums import OrderReason, OrderStatus, OrderType, PostOnly, Priority, RejectReason, Side, TimeInForce
from app.domain.events import (
    Fill,
    OrderAmended,
    OrderAmendRejected,
    OrderCancelRejected,
    OrderRejected,
    OrderState,
    Rejection,
)
from app.domain.instrument import RATE_SCALE
from app.domain.outcomes import Outcome
from app.engine import risk
from app.engine.book import Book
from app.engine.ledger import Ledger
from app.engine.matching import Matcher, fillable
from app.engine.recorder import Recorder, refuse
from app.engine.state import Account, Balance, Order, State

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_REASON_CANCEL_ALL = OrderReason.CANCEL_ALL
_REASON_IOC_REMAINDER = OrderReason.IOC_REMAINDER
_REASON_NO_LIQUIDITY = OrderReason.NO_LIQUIDITY
_REASON_SLIPPAGE_CAP = OrderReason.SLIPPAGE_CAP
_REASON_USER = OrderReason.USER
_OPEN = OrderStatus.OPEN
_BUY = Side.BUY
_MARKET = OrderType.MARKET
_POST_ONLY_REPRICE = PostOnly.REPRICE
_PRIORITY_KEPT = Priority.KEPT
_PRIORITY_LOST = Priority.LOST
_FOK = TimeInForce.FOK
_GTC = TimeInForce.GTC
_IOC = TimeInForce.IOC


class OrderDesk:
    """Executes the order commands."""

    __slots__ = ("_accounts", "_books", "_ledger", "_matcher", "_orders", "_recorder", "_state")

    def __init__(self, state: State, ledger: Ledger, matcher: Matcher, recorder: Recorder) -> None:
        self._state = state
        self._accounts = state.accounts
        self._books = state.books
        self._orders = state.orders
        self._ledger = ledger
        self._matcher = matcher
        self._recorder = recorder

    # ---- place -------------------------------------------------------------------------------

    def place(self, terms: PlaceOrder) -> Outcome:
        """Place an order: check, hold, match, rest."""
        account = self._accounts.get(terms.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        client_order_id = terms.client_order_id
        if client_order_id is not None:
            known = account.client_ids.get(client_order_id)
            if known is not None:
                return self._repeated(known, terms)
        book = self._books.get(terms.symbol)
        if book is None:
            return self._outcome(rejection=refuse(RejectReason.UNKNOWN_SYMBOL, field="symbol"))
        price = terms.price
        if price is None or not risk.admits_plainly(terms, price, account, book, self._state.open_orders_max):
            price, rejection = self._admit(terms, account, book)
            if rejection is not None:
                return self._reject(terms, account, rejection)
        return self._accept(terms, account, book, price)

    def _accept(self, terms: PlaceOrder, account: Account, book: Book, price: int) -> Outcome:
        """Hold what an admitted order needs, then match and rest it; without the funds it is refused."""
        state, quantity, rates, is_buy = self._state, terms.quantity, book.rates, terms.side is _BUY
        if is_buy:
            asset, opposite = book.quote, book.asks
            notional = price * quantity * book.notional_unit
            # As Ledger.required_hold has it, for an order that did not trade yet.
            required = notional - (-notional * rates.highest // RATE_SCALE)
        else:
            asset, opposite = book.base, book.bids
            required = quantity * book.lot_units
        balance = account.balances.get(asset) or account.balance(asset)
        if required > balance.available:
            return self._reject(terms, account, insufficient(balance, required))
        order_id, now = state.last_order_id + 1, state.timestamp_ns
        state.last_order_id = order_id
        shown = OrderState(
            order_id, terms, _OPEN, 1, price, quantity, 0, 0, 0, None, now, now, state.sequence
        )  # fmt: skip
        order = Order(shown, account, book, balance, rates)
        self._ledger.open(order, required)
        self._orders[order_id] = account.open_orders[order_id] = order
        if terms.client_order_id is not None:
            account.client_ids[terms.client_order_id] = order
        self._recorder.accepted(account, shown)
        best = opposite.best
        fills: tuple[Fill, ...] = ()
        if best is not None and (best.price <= price if is_buy else best.price >= price):
            fills = self._matcher.match(order)
        if order.remaining:
            if terms.time_in_force is _GTC:
                (book.bids if is_buy else book.asks).add(order)
            else:
                self._end_remainder(order)
        return self._order_outcome(order, fills)

    def _repeated(self, known: Order, terms: PlaceOrder) -> Outcome:
        """Answer a client_order_id seen before: the order as it is now, or a refusal if the body differs."""
        same = terms.session_id == known.terms.session_id
        if not same:
            terms = msgspec.structs.replace(terms, session_id=known.terms.session_id)
        if terms != known.terms:
            return self._outcome(rejection=refuse(RejectReason.CLIENT_ORDER_ID_REUSED, field="client_order_id"))
        return self._outcome(order=known.state, book=self._recorder.top(known.book), duplicate=True)

    def _admit(self, terms: PlaceOrder, account: Account, book: Book) -> tuple[int, Rejection | None]:
        """Run the checks in order; returns the price to hold and trade at."""
        instrument = book.instrument
        rejection = risk.check_status(instrument, account, post_only=terms.post_only is not None)
        if rejection is None:
            rejection = risk.check_form(terms, instrument)
        if rejection is not None:
            return 0, rejection
        price, rejection = self._price(terms, book)
        if rejection is None:
            rejection = risk.check_numbers(instrument, price, terms.quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, terms.quantity)
        if rejection is None and instrument.price_band is not None:
            rejection = risk.check_band(book, price)
        if rejection is None:
            rejection = risk.check_open_orders(account, self._state.open_orders_max)
        if rejection is None and terms.time_in_force is _FOK:
            is_buy = terms.side is _BUY
            if not fillable(book, account, terms.quantity, price, is_buy=is_buy):
                rejection = refuse(RejectReason.FOK_NOT_FILLABLE)
        return price, rejection

    def _price(self, terms: PlaceOrder, book: Book) -> tuple[int, Rejection | None]:
        """Return the order's limit: its own price, a market order's cap, or the repriced post-only price."""
        price = terms.price
        if terms.type is _MARKET:
            best = book.opposite(terms.side).best
            if best is None:
                return 0, refuse(RejectReason.NO_LIQUIDITY)
            return risk.cap_price(book, terms, best.price, is_buy=best is book.asks.best), None
        assert price is not None, "check_form admits a limit order only with a price"
        if terms.post_only is not None:
            return self._post_only_price(book, terms, price)
        return price, None

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

    def _end_remainder(self, order: Order) -> None:
        """Cancel what is left of an order that must not rest."""
        if order.terms.type is _MARKET:
            empty = (order.book.asks if order.is_buy else order.book.bids).best is None
            self._matcher.close(order, _REASON_NO_LIQUIDITY if empty else _REASON_SLIPPAGE_CAP)
        else:
            self._matcher.close(order, _REASON_IOC_REMAINDER)

    def _reject(self, terms: PlaceOrder, account: Account, rejection: Rejection) -> Outcome:
        account.seq += 1
        self._recorder.private(account, OrderRejected(account.seq, self._state.sequence, terms, rejection))
        return self._outcome(rejection=rejection)

    # ---- cancel ------------------------------------------------------------------------------

    def cancel(self, command: CancelOrder) -> Outcome:
        """Cancel one order."""
        account = self._accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        if command.order_id is not None:
            order = self._orders.get(command.order_id)
        else:
            order = account.client_ids.get(command.client_order_id or "")
        if order is None or order.account is not account or not order.remaining or command.symbols is not None:
            rejection = self._not_open(order, account, command.symbols)
            if rejection is not None or order is None:
                return self._refuse_cancel(command, account, rejection or refuse(RejectReason.UNKNOWN_ORDER))
        self._matcher.cancel(order, _REASON_USER)
        return self._order_outcome(order)

    def _refuse_cancel(self, command: CancelOrder, account: Account, rejection: Rejection) -> Outcome:
        account.seq += 1
        ids = command.order_id, command.client_order_id
        event = OrderCancelRejected(account.seq, self._state.sequence, account.account_id, *ids, rejection)
        self._recorder.private(account, event)
        return self._outcome(rejection=rejection)

    def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel every matching open order, oldest first, in one step."""
        account = self._accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        chosen = [
            order
            for order in account.open_orders.values()
            if (command.symbol is None or order.terms.symbol == command.symbol)
            and (command.side is None or order.terms.side is command.side)
            and (command.label is None or order.terms.label == command.label)
        ]
        for order in chosen:
            self._recorder.books[order.terms.symbol] = order.book
            self._matcher.cancel(order, _REASON_CANCEL_ALL)
        return self._outcome(orders=tuple([order.state for order in chosen]))

    def _not_open(self, order: Order | None, account: Account, symbols: tuple[str, ...] | None) -> Rejection | None:
        """Return the refusal for an order that is not there, not the caller's, or ended."""
        if order is None or order.account is not account:
            return refuse(RejectReason.UNKNOWN_ORDER)
        if symbols is not None and order.terms.symbol not in symbols:
            return refuse(RejectReason.UNKNOWN_ORDER)
        if not order.remaining:
            return refuse(RejectReason.ORDER_NOT_OPEN)
        return None

    # ---- amend -------------------------------------------------------------------------------

    def amend(self, command: AmendOrder) -> Outcome:
        """Change price or total quantity; a smaller quantity at the same price keeps the place in the queue."""
        account = self._accounts.get(command.account_id)
        if account is None:
            return self._outcome(rejection=refuse(RejectReason.NOT_FOUND))
        order = self._orders.get(command.order_id)
        rejection = self._not_open(order, account, command.symbols)
        if rejection is not None or order is None:
            return self._refuse_amend(command, account, rejection or refuse(RejectReason.UNKNOWN_ORDER))
        if command.if_version is not None and command.if_version != order.state.version:
            rejection = refuse(
                RejectReason.VERSION_CONFLICT,
                field="if_version",
                limit=order.state.version,
                actual=command.if_version,
                unit="count",
            )
            return self._refuse_amend(command, account, rejection)
        price, quantity = amended_numbers(command, order)
        if price is None:
            return self._refuse_amend(command, account, refuse(RejectReason.INVALID_PRICE_TICK, field="price"))
        if quantity is None:
            return self._refuse_amend(command, account, refuse(RejectReason.INVALID_QUANTITY_LOT, field="quantity"))
        if quantity <= order.state.filled_quantity:
            self._matcher.cancel(order, _REASON_USER)
            return self._order_outcome(order, (), _PRIORITY_LOST)
        if price == order.price and quantity <= order.state.quantity:
            return self._shrink(command, order, quantity)
        return self._move(command, order, price, quantity)

    def _shrink(self, command: AmendOrder, order: Order, quantity: int) -> Outcome:
        """Lower the quantity in place; no change at all is no event."""
        if quantity < order.state.quantity:
            instrument = order.book.instrument
            rejection = risk.check_numbers(instrument, order.price, quantity)
            if rejection is not None:
                return self._refuse_amend(command, order.account, rejection)
            less = order.state.quantity - quantity
            (order.book.bids if order.is_buy else order.book.asks).reduce(order, less)
            order.remaining -= less
            self._ledger.hold(order)
            self._recorder.order(OrderAmended, order, order.state.status, None, quantity)
        return self._order_outcome(order, (), _PRIORITY_KEPT)

    def _move(self, command: AmendOrder, order: Order, price: int, quantity: int) -> Outcome:
        """Give the order a new price or a larger quantity at the back of the queue; it may trade at once."""
        book, terms = order.book, order.terms
        rejection = risk.check_status(book.instrument, order.account, post_only=terms.post_only is not None)
        if rejection is None and terms.post_only is not None:
            price, rejection = self._post_only_price(book, msgspec.structs.replace(terms, price=price), price)
            if rejection is None and price == order.price and quantity <= order.state.quantity:
                # Repriced to where it already is: nothing that would cost it its place.
                return self._shrink(command, order, quantity)
        if rejection is None:
            rejection = risk.check_numbers(book.instrument, price, quantity)
        if rejection is None:
            rejection = risk.check_sums(book, terms.side, price, quantity - order.state.filled_quantity, order)
        if rejection is None:
            rejection = risk.check_band(book, price)
        if rejection is not None:
            return self._refuse_amend(command, order.account, rejection)
        # The level needs the old remaining quantity, the hold the new one: only who can pay leaves the book.
        before, remaining = (order.price, order.remaining), quantity - order.state.filled_quantity
        order.price, order.remaining = price, remaining
        missing = self._ledger.hold(order)
        if missing:
            rejection = insufficient(order.balance, order.balance.available + missing)
            order.price, order.remaining = before
            return self._refuse_amend(command, order.account, rejection)
        side, opposite = (book.bids, book.asks) if order.is_buy else (book.asks, book.bids)
        order.remaining = before[1]
        side.remove(order)
        order.remaining = remaining
        self._recorder.order(OrderAmended, order, order.state.status, None, quantity)
        best = opposite.best
        fills: tuple[Fill, ...] = ()
        if best is not None and (best.price <= price if order.is_buy else best.price >= price):
            fills = self._matcher.match(order)
        if order.remaining:
            side.add(order)
        return self._order_outcome(order, fills, _PRIORITY_LOST)

    def _refuse_amend(self, command: AmendOrder, account: Account, rejection: Rejection) -> Outcome:
        account.seq += 1
        event = OrderAmendRejected(account.seq, self._state.sequence, account.account_id, command.order_id, rejection)
        self._recorder.private(account, event)
        return self._outcome(rejection=rejection)

    # ---- outcomes ----------------------------------------------------------------------------

    def _order_outcome(self, order: Order, fills: tuple[Fill, ...] = (), priority: Priority | None = None) -> Outcome:
        state, recorder, book = self._state, self._recorder, order.book
        recorder.books[book.symbol] = book
        return Outcome(
            state.sequence, state.timestamp_ns, None, order.state, fills, recorder.top(book), False, priority
        )  # fmt: skip

    def _outcome(self, **members: object) -> Outcome:
        state = self._state
        return Outcome(state.sequence, state.timestamp_ns, **members)  # type: ignore[arg-type]  # members of Outcome by name


def insufficient(balance: Balance, required: int) -> Rejection:
    """Return the refusal of who has less available than is required."""
    return refuse(RejectReason.INSUFFICIENT_BALANCE, limit=balance.available, actual=required, unit=balance.asset)


def amended_numbers(command: AmendOrder, order: Order) -> tuple[int | None, int | None]:
    """Return the new price in ticks and total quantity in lots; None for one that is not an exact multiple."""
    instrument = order.book.instrument
    price: int | None = order.price if command.price is None else command.price
    quantity: int | None = order.state.quantity if command.quantity is None else command.quantity
    if command.price is not None and command.price_scale is not None:
        price = count_steps(Step(command.price, command.price_scale), instrument.tick)
    if command.quantity is not None and command.quantity_scale is not None:
        quantity = count_steps(Step(command.quantity, command.quantity_scale), instrument.lot)
    return price, quantity
