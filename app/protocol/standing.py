"""How an account stands, as the wire shows it: the use of its limits, and the fees it pays."""

import msgspec

from app.domain.decimals import format_scaled
from app.domain.instrument import Instrument
from app.domain.limits import LIMITS
from app.domain.standing import RATIO_PLACES, RATIO_UNITS, FeeStanding, LimitStanding
from app.protocol.limit_shapes import wire_name
from app.protocol.shapes import NS_PER_MS, rate_text


class LimitUse(msgspec.Struct, kw_only=True):
    """A limit that holds for the account; `used` and `headroom` are null where nothing is used up, or nobody knows."""

    limit: str
    level: str
    """`account`, `tier` or `exchange`: where the tightest one is set."""
    asset: str | None
    """Of an amount: the quote asset that the numbers are in."""
    value: str
    used: str | None
    headroom: str | None


class NextTier(msgspec.Struct, kw_only=True):
    """The fee tier after the account's, and the rates that it would bring in the instrument."""

    tier: int
    volume: str
    """Least volume."""
    missing: str
    """What `volume_30d` lacks."""
    maker_fee: str
    taker_fee: str


class Fees(msgspec.Struct, kw_only=True):
    """The rates that an order of the account in an instrument captures now, and the volume that they come from."""

    symbol: str
    maker_fee: str
    taker_fee: str
    asset: str
    """Quote asset, which tiers and volumes are in."""
    volume_30d: str
    """Of the 30 UTC days before today, over all instruments of the quote asset."""
    volume_today: str
    """Counts from the next UTC day on."""
    tier: int
    """Number of the account's fee tier, 0 for none."""
    next_tier: NextTier | None


def limit_use(standing: LimitStanding, scale: int) -> LimitUse:
    """Return the use of a limit; `scale` is that of its asset, 0 without one."""
    value, used, unit = int(standing.value), standing.used, LIMITS[standing.name].unit
    if unit == "ns":
        value //= NS_PER_MS
    elif standing.name == "order_trade_ratio":
        value, scale = value * RATIO_UNITS, RATIO_PLACES
    return LimitUse(
        limit=wire_name(standing.name),
        level=standing.level,
        asset=standing.asset,
        value=format_scaled(value, scale),
        used=None if used is None else format_scaled(int(used), scale),
        headroom=None if used is None else format_scaled(value - int(used), scale),
    )


def fees_shape(standing: FeeStanding, instrument: Instrument) -> Fees:
    """Return what an account pays in an instrument of the quote asset."""
    volume, tiers, scale = int(standing.volume), standing.tiers, instrument.quote_scale
    reached = sum(int(least) <= volume for least, _, _ in tiers)
    maker, taker = instrument.maker_fee, instrument.taker_fee
    if reached:
        maker, taker = instrument.rates_with(*tiers[reached - 1][1:])
    following = None
    if reached < len(tiers):
        least, *rates = tiers[reached]
        next_maker, next_taker = instrument.rates_with(*rates)
        following = NextTier(
            tier=reached + 1,
            volume=format_scaled(int(least), scale),
            missing=format_scaled(int(least) - volume, scale),
            maker_fee=rate_text(next_maker),
            taker_fee=rate_text(next_taker),
        )
    return Fees(
        symbol=instrument.symbol,
        maker_fee=rate_text(maker),
        taker_fee=rate_text(taker),
        asset=standing.asset,
        volume_30d=format_scaled(volume, scale),
        volume_today=format_scaled(int(standing.volume_today), scale),
        tier=reached,
        next_tier=following,
    )
