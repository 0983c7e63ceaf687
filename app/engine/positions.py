"""What an account has in one instrument: its position, its open orders there, and what it turned over.

A position follows prints alone: bought and sold lots, what the net lots cost, what closing brought.
Sums of open orders are kept up with every order event, so that no check has to walk the orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.engine.book import Book
    from app.engine.state import Account, Balance, Order

VOLUME_DAYS = 30
"""UTC days before today whose turnover a fee tier looks at."""


class Turnover:
    """What an account traded in one quote asset, today and on the days before, and what its open orders are worth."""

    __slots__ = ("day", "days", "notional", "open_notional", "prints", "profit", "volume")

    def __init__(self) -> None:
        self.day = -1
        """UTC day that the figures of today are of."""
        self.notional = 0
        self.prints = 0
        """Each side of each print counts one."""
        self.profit = 0
        """Realized today, less today's fees."""
        self.days: dict[int, int] = {}
        """Notional of the days before, oldest first; none older than VOLUME_DAYS."""
        self.volume = 0
        """Their sum."""
        self.open_notional = 0
        """Remaining lots of open orders at their prices."""

    def begin_day(self, day: int) -> None:
        """Let another UTC day be today."""
        if self.notional:
            self.days[self.day] = self.notional
        self.day = day
        self.notional = self.prints = self.profit = 0
        oldest = day - VOLUME_DAYS
        for past in [past for past in self.days if past < oldest]:
            del self.days[past]
        self.volume = sum(self.days.values())

    def volume_on(self, day: int) -> int:
        """Return what `volume` will be when a day not before today begins, or is if it is today; changes nothing."""
        if day == self.day:
            return self.volume
        days = {**self.days, self.day: self.notional}
        return sum(notional for past, notional in days.items() if past >= day - VOLUME_DAYS)


class Reducing:
    """Open lots of the reduce-only orders of one side, kept up so that no check has to walk them."""

    __slots__ = ("_counted", "lots")

    def __init__(self) -> None:
        self._counted: dict[int, int] = {}
        """By order id, in the order of acceptance."""
        self.lots = 0
        """Their sum."""

    def count(self, order: Order) -> None:
        """Count what an order has open now; one that has nothing open is not counted any more."""
        self.lots += order.remaining - self._counted.get(order.order_id, 0)
        if order.remaining:
            self._counted[order.order_id] = order.remaining
        else:
            self._counted.pop(order.order_id, None)

    def of(self, order: Order) -> int:
        """Return the lots counted for an order."""
        return self._counted.get(order.order_id, 0)

    def newest(self) -> int:
        """Return the id of the order that came last; there must be one."""
        return next(reversed(self._counted))

    def all(self) -> dict[int, int]:
        """Return what is counted, by order id."""
        return dict(self._counted)


class Position:
    """Lots and money of an account in one instrument; amounts in quote units."""

    __slots__ = (
        "account",
        "base",
        "book",
        "buying",
        "cost",
        "fees",
        "net",
        "open_orders",
        "quote",
        "rank",
        "realized",
        "reducing",
        "selling",
        "stated",
        "touched",
        "turnover",
    )

    def __init__(self, account: Account, book: Book) -> None:
        self.account = account
        self.book = book
        self.rank = account.account_id, book.symbol
        """Its place among the positions that a batch changed."""
        self.base: Balance = account.balance(book.base)
        self.quote: Balance = account.balance(book.quote)
        self.turnover = account.turnover(book.quote)
        self.net = 0
        """Lots bought less lots sold."""
        self.cost = 0
        """What the net lots cost, or brought when sold, without fees."""
        self.realized = 0
        self.fees = 0
        self.buying = 0
        """Remaining lots of open buys, and of open sells."""
        self.selling = 0
        self.open_orders = 0
        self.reducing: tuple[Reducing, Reducing] | None = None
        """Open reduce-only sells, and buys; None while there is neither."""
        self.stated = (0, 0, 0, 0)
        """Net, cost, realized and fees as the last event says."""
        self.touched = False

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """Net lots, cost, realized and fees."""
        return self.net, self.cost, self.realized, self.fees

    @property
    def paid(self) -> int:
        """What all that was bought cost, less what all that was sold brought; without fees."""
        return (self.cost if self.net > 0 else -self.cost) - self.realized

    def enter(self, order: Order) -> None:
        """Count a new open order."""
        self.open_orders += 1
        self.add(order, order.remaining)
        if order.state.terms.reduce_only:
            if self.reducing is None:
                self.reducing = Reducing(), Reducing()
            self.count_reducing(order)

    def withdraw(self, order: Order) -> None:
        """Count an order no more that was counted and not accepted."""
        lots, order.remaining = order.remaining, 0
        self.add(order, -lots)
        self.open_orders -= 1
        self.count_reducing(order)

    def add(self, order: Order, lots: int) -> None:
        """Let an order have more lots open, or fewer (negative)."""
        if order.is_buy:
            self.buying += lots
        else:
            self.selling += lots
        self.turnover.open_notional += lots * order.price * self.book.notional_unit

    def count_reducing(self, order: Order) -> None:
        """Bring the count of reduce-only orders up to date, of which there are some, with one that may be of them."""
        if self.reducing is not None and order.state.terms.reduce_only:
            self.reducing[order.is_buy].count(order)
            if not order.remaining and not self.reducing[0].lots and not self.reducing[1].lots:
                self.reducing = None

    def trade(self, order: Order, quantity: int, notional: int, fee: int) -> None:
        """Take in one side of a print of the day that the turnover is at."""
        turnover, net = self.turnover, self.net
        turnover.open_notional -= quantity * order.price * self.book.notional_unit
        turnover.notional += notional
        turnover.prints += 1
        turnover.profit -= fee
        self.fees += fee
        if order.is_buy:
            self.buying -= quantity
            self.net = net + quantity
            if net >= 0:
                self.cost += notional
            else:
                self._realize(-self._close(quantity, notional, -net))
        else:
            self.selling -= quantity
            self.net = net - quantity
            if net <= 0:
                self.cost += notional
            else:
                self._realize(self._close(quantity, notional, net))

    def _realize(self, profit: int) -> None:
        self.realized += profit
        self.turnover.profit += profit

    def _close(self, quantity: int, notional: int, held: int) -> int:
        """Release the share of the cost of what a print closes of the held lots; the rest of the print opens.

        Returns what the closed lots trade for now, less what was released.
        """
        closed = quantity if quantity < held else held
        released = self.cost if closed == held else self.cost * closed // held
        # Exact: a notional is a whole number of quote units per lot.
        share = notional if closed == quantity else notional // quantity * closed
        self.cost += notional - share - released
        return share - released
