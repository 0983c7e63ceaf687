"""How an account stands with what only the engine counts: its limits and their use, its fee tiers and its volume.

Amounts travel as decimal text of an integer: they may pass 64 bits.
"""

import msgspec

RATIO_PLACES = 2
"""Decimal places of what is used of `order_trade_ratio`."""
RATIO_UNITS = 100
"""So many make one: 10**RATIO_PLACES."""


class LimitStanding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One limit that holds; of an amount one for each quote asset."""

    name: str
    level: str
    """`account`, `tier` or `exchange`: where the tightest one is set."""
    asset: str | None
    value: str
    """Count, nanoseconds, or units of the asset."""
    used: str | None
    """In the same, of a ratio in 1 / RATIO_UNITS; None where nothing is used up."""


class FeeStanding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an account turned over in one quote asset, in its units, and the fee tiers of the asset."""

    asset: str
    volume: str
    """Of the UTC days before today that tiers look at."""
    volume_today: str
    tiers: tuple[tuple[str, int, int], ...]
    """(least volume, maker rate, taker rate), least volume rising."""


class AccountStanding(msgspec.Struct, frozen=True, array_like=True):
    """Both, at a committed sequence."""

    engine_seq: int
    limits: tuple[LimitStanding, ...]
    fees: tuple[FeeStanding, ...]
    """Of every quote asset that is traded, by name."""
