"""What an account has and how it came by it: positions and ledger entries, as the wire shows them.

Figures are integers (lots, quote units, asset units); the shapes are decimal text.
"""

from typing import NamedTuple

import msgspec

from app.domain.decimals import format_scaled, parse_decimal
from app.domain.instrument import Instrument
from app.protocol.shapes import average_price_text, notional_text, quantity_text, timestamp_text


class PositionFigures(NamedTuple):
    """A position in one instrument: net lots, and amounts in quote units."""

    symbol: str
    quantity: int
    """Negative when more was sold than bought."""
    cost: int
    """What the net lots cost when bought, or brought when sold, without fees; never negative."""
    realized_pnl: int
    fees: int


class Position(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A position. `unrealized_pnl` is what closing it at the mark price (the last one without a mark) would bring."""

    symbol: str
    quantity: str
    average_price: str | None
    realized_pnl: str
    unrealized_pnl: str | msgspec.UnsetType | None = msgspec.UNSET
    """Null without a price; in REST only, because it changes with every trade of anybody."""
    fees: str


class LedgerEntry(msgspec.Struct, kw_only=True):
    """One movement of one asset, and the whole balance (available and held) after it."""

    asset: str
    amount: str
    balance: str
    cause: str
    """`trade`, `fee`, `deposit`, `withdrawal` or `transfer`."""
    ref: str
    """`SYMBOL:trade_id` of a trade and its fee, else the transfer_id."""
    engine_seq: int
    ts: str


def position_shape(figures: PositionFigures, instrument: Instrument) -> Position:
    """Return a position without what depends on a price."""
    return Position(
        symbol=figures.symbol,
        quantity=quantity_text(figures.quantity, instrument),
        average_price=average_price_text(figures.cost, abs(figures.quantity), instrument),
        realized_pnl=notional_text(figures.realized_pnl, instrument),
        fees=notional_text(figures.fees, instrument),
    )


def priced_position_shape(figures: PositionFigures, instrument: Instrument, price: str | None) -> Position:
    """Return a position valued at a price, given as decimal text."""
    shape = position_shape(figures, instrument)
    shape.unrealized_pnl = None if price is None else notional_text(_unrealized(figures, instrument, price), instrument)
    return shape


def _unrealized(figures: PositionFigures, instrument: Instrument, price: str) -> int:
    """Return the gain at a price that need not be a whole number of ticks, in quote units, rounded down."""
    number = parse_decimal(price)
    assert number is not None, f"expected a price, was {price!r}"  # noqa: S101  # we made the text
    tick = instrument.tick
    numerator = figures.quantity * instrument.notional_unit * number.mantissa * int(10**tick.scale)
    value = numerator // (tick.mantissa * int(10**number.scale))
    return value - (figures.cost if figures.quantity > 0 else -figures.cost)


def ledger_entry_shape(
    asset: str, scale: int, amount: int, balance: int, *, cause: str, ref: str, engine_seq: int, timestamp_ns: int
) -> LedgerEntry:
    """Return a ledger entry."""
    return LedgerEntry(
        asset=asset,
        amount=format_scaled(amount, scale),
        balance=format_scaled(balance, scale),
        cause=cause,
        ref=ref,
        engine_seq=engine_seq,
        ts=timestamp_text(timestamp_ns),
    )
