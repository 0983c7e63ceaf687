"""What an account uses of its limits, and where it stands among the fee tiers: read, and nothing else.

Followers replay commands, not questions: this must leave the state as it is, down to what is worked out lazily.
"""

from collections.abc import Iterator

from app.domain.limits import LIMITS, RATE_WINDOW_NS
from app.domain.standing import RATIO_UNITS, AccountStanding, FeeStanding, LimitStanding
from app.engine.limits import holding
from app.engine.positions import Position
from app.engine.state import DAY_NS, Account, State


class Uses:
    """What an account has used of its limits at a time."""

    def __init__(self, account: Account, now_ns: int) -> None:
        self._account = account
        self._second = now_ns // RATE_WINDOW_NS
        self._day = now_ns // DAY_NS

    def count(self, name: str) -> int | None:
        """Return what is used of a limit that is not an amount; None where nothing is used up."""
        account, counts = self._account, self._account.counts
        if name == "open_orders":
            return len(account.open_orders)
        if name == "symbol_open_orders":
            return max((position.open_orders for position in account.positions.values()), default=0)
        if name == "execution_rate" and account.trip is not None:
            return account.trip.prints
        if name == "order_trade_ratio":
            return self._ratio()
        is_current = counts is not None and counts.second == self._second
        if name == "message_rate":
            return counts.messages if counts is not None and is_current else 0
        if name == "symbol_message_rate":
            return max(counts.symbols.values(), default=0) if counts is not None and is_current else 0
        if name == "rejection_rate":
            return counts.rejections if counts is not None and is_current else 0
        if name == "execution_rate":
            return counts.executions if counts is not None and is_current else 0
        return None

    def amount(self, name: str, asset: str) -> int | None:
        """Return what is used of a limit of an amount, in units of the quote asset; None where nothing is used up."""
        if name == "position_notional":
            return self._position_notional(asset)
        turnover = self._account.turnovers.get(asset)
        if turnover is None:
            return None if name == "order_notional" else 0
        is_current = turnover.day == self._day
        if name == "open_notional":
            return turnover.open_notional
        if name == "daily_notional":
            return turnover.open_notional + (turnover.notional if is_current else 0)
        if name == "daily_loss":
            return -turnover.profit if is_current else 0
        return None

    def _ratio(self) -> int:
        """Return orders and amends of today for each of today's prints, in 1 / RATIO_UNITS and rounded up."""
        account, counts = self._account, self._account.counts
        accepted = counts.accepted if counts is not None and counts.day == self._day else 0
        prints = sum(turnover.prints for turnover in account.turnovers.values() if turnover.day == self._day)
        return -(-accepted * RATIO_UNITS // max(prints, 1))

    def _position_notional(self, asset: str) -> int | None:
        """Return the largest position as if every open order of a side filled; None if one has no price to value it."""
        largest = 0
        for position in self._account.positions.values():
            lots = _lots_at_most(position)
            if position.book.quote != asset or not lots:
                continue
            reference = position.book.reference_price()
            if reference is None:
                return None
            largest = max(largest, lots * reference * position.book.notional_unit)
        return largest


def standing(state: State, account: Account, now_ns: int) -> AccountStanding:
    """Return how an account stands at a time in UTC nanoseconds, not before that of the last command."""
    quotes = sorted({book.quote for book in state.books.values()})
    limits = tuple(_limits(state, account, quotes, Uses(account, now_ns)))
    fees = tuple(_fees(state, account, quote, now_ns // DAY_NS) for quote in quotes)
    return AccountStanding(state.sequence, limits, fees)


def _limits(state: State, account: Account, quotes: list[str], uses: Uses) -> Iterator[LimitStanding]:
    for name, (value, level) in holding(state, account).items():
        if LIMITS[name].unit == "quote":
            for asset in quotes:
                yield LimitStanding(name, level, asset, str(value), _text(uses.amount(name, asset)))
        else:
            yield LimitStanding(name, level, None, str(value), _text(uses.count(name)))


def _fees(state: State, account: Account, asset: str, day: int) -> FeeStanding:
    turnover = account.turnovers.get(asset)
    volume = today = 0
    if turnover is not None:
        volume = turnover.volume_on(day)
        today = turnover.notional if turnover.day == day else 0
    tiers = tuple([(str(tier.volume), tier.maker, tier.taker) for tier in state.fee_tiers.get(asset, ())])
    return FeeStanding(asset, str(volume), str(today), tiers)


def _lots_at_most(position: Position) -> int:
    return max(abs(position.net), abs(position.net + position.buying), abs(position.net - position.selling))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
