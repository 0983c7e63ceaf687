"""Cancels of many orders: at once as far as one command may, the rest by Ticks in slices.

Orders end oldest first. What is left to Ticks waits in `state.mass_cancels`, of which the oldest is
served first, until nothing is left of it.
"""

from collections.abc import Iterable

from app.domain.commands import CancelAll
from app.domain.enums import OrderReason, RejectReason
from app.domain.outcomes import Outcome
from app.engine.matching import COMMAND_ORDER_OPERATIONS_MAX, Matcher
from app.engine.recorder import Recorder, refuse
from app.engine.selection import MassCancel, Selection
from app.engine.state import Order, State

SLICE_ORDERS_MAX = 1_000
"""Orders that one Tick cancels of a queued mass cancel."""


class MassCancels:
    """Executes cancel_all, and is the Ticks' queue of longer ones."""

    __slots__ = ("_matcher", "_plan", "_recorder", "_state")

    def __init__(self, state: State, matcher: Matcher, recorder: Recorder) -> None:
        self._state = state
        self._matcher = matcher
        self._recorder = recorder
        self._plan: list[int] | None = None
        """Ids left of the oldest queued one if it spans accounts, the next one last; found anew after a restore."""

    # ---- commands ----------------------------------------------------------------------------

    def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel what matches every filter."""
        symbols = None if command.symbol is None else (command.symbol,)
        filters = command.side, command.label, command.session_id, command.order_list_id
        selection = Selection(command.account_id, symbols, *filters)
        state = self._state
        if selection.account_id not in state.accounts:
            return Outcome(state.sequence, state.timestamp_ns, refuse(RejectReason.NOT_FOUND))
        canceled = self.cancel(selection, OrderReason.CANCEL_ALL)
        return Outcome(state.sequence, state.timestamp_ns, orders=tuple([order.snapshot() for order in canceled]))

    # ---- at once and in slices ---------------------------------------------------------------

    def cancel(self, selection: Selection, reason: OrderReason) -> list[Order]:
        """Cancel an account's orders, and return those; what is too much for one command is queued."""
        chosen = self._selected(selection)
        now = chosen[:COMMAND_ORDER_OPERATIONS_MAX]
        self._end(now, reason)
        if any(map(is_open, chosen)):
            rest = selection._replace(up_to_id=self._state.last_order_id)
            self._state.mass_cancels.append(MassCancel(reason, rest))
        return now

    def queue(self, selection: Selection, reason: OrderReason) -> None:
        """Leave all that is selected to Ticks; without any order there is nothing to do."""
        if any(selection.admits(order) for order in self._open_orders(selection)):
            self._state.mass_cancels.append(MassCancel(reason, selection))

    def drop(self, selection: Selection, reason: OrderReason) -> None:
        """Call a queued one off, as far as it has not been carried out."""
        state, dropped = self._state, MassCancel(reason, selection)
        if state.mass_cancels and state.mass_cancels[0] == dropped:
            self._plan = None
        state.mass_cancels = [each for each in state.mass_cancels if each != dropped]

    @property
    def is_waiting(self) -> bool:
        """Whether a slice is wanted."""
        return bool(self._state.mass_cancels)

    def run_slice(self) -> None:
        """Carry the oldest one a slice further."""
        state = self._state
        if not state.mass_cancels:
            return
        reason, selection = state.mass_cancels[0]
        if selection.account_id is None:
            is_done = self._run_plan(selection, reason)
        else:
            chosen = self._selected(selection)
            self._end(chosen[:SLICE_ORDERS_MAX], reason)
            is_done = not any(map(is_open, chosen))
        if is_done:
            self._plan = None
            del state.mass_cancels[0]

    def _run_plan(self, selection: Selection, reason: OrderReason) -> bool:
        """Cancel a slice of orders of many accounts; returns whether none is left.

        No order joins such a selection later, so it is worked out once: a shard may have a million.
        """
        orders = self._state.orders
        if self._plan is None:
            self._plan = [order.order_id for order in self._selected(selection)]
            self._plan.reverse()
        plan = self._plan
        chosen: list[Order] = []
        while plan and len(chosen) < SLICE_ORDERS_MAX:
            order = orders.get(plan.pop())
            if order is not None and is_open(order):
                chosen.append(order)
        self._end(chosen, reason)
        while plan:
            order = orders.get(plan[-1])
            if order is not None and is_open(order):
                return False
            plan.pop()
        return True

    def _selected(self, selection: Selection) -> list[Order]:
        """Return the open orders that are meant, oldest first."""
        return [order for order in self._open_orders(selection) if selection.admits(order)]

    def _open_orders(self, selection: Selection) -> Iterable[Order]:
        """Return the open orders of the selection's account, or of all, oldest first."""
        state = self._state
        if selection.account_id is not None:
            return state.accounts[selection.account_id].open_orders.values()
        orders: Iterable[Order] = state.orders.values()
        if selection.symbols is not None:
            # There may be a million orders of other instruments.
            books = [state.books[symbol] for symbol in selection.symbols]
            orders = [order for order in orders if order.book in books]
        return (order for order in orders if order.order_id in order.account.open_orders)

    def _end(self, orders: Iterable[Order], reason: OrderReason) -> None:
        for order in orders:
            # The end of one order may end others.
            if is_open(order):
                self._recorder.books[order.terms.symbol] = order.book
                self._matcher.cancel(order, reason)


def is_open(order: Order) -> bool:
    """Return whether an order is alive, in the book or waiting."""
    return order.order_id in order.account.open_orders
