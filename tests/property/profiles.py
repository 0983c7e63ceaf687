"""Profiles of random streams, chosen by swarm: each seed leaves out some features and stresses others, so that states
which never meet in an average stream do meet in some."""

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from app.domain.enums import OrderType, SelfTradePrevention
from tests.property.groups import GROUPS
from tests.property.streams_admin import ADMIN_WEIGHTS

PERCENT = 1_000_000
INTEGER_MAX = 2**63 - 1
BASE_SCALE, QUOTE_SCALE = 8, 10
STRANGER = 999
KINDS = tuple(OrderType)[1:] if "triggers" in GROUPS else (OrderType.MARKET,)
"""Types that not every instrument admits."""
STP = tuple(SelfTradePrevention)
FEES = (
    (0, 0),
    (100_000, 200_000),
    (-50_000, 50_000),
    (3 * PERCENT, PERCENT),
    (-7 * PERCENT, 9 * PERCENT),
    (1, 1),
    (2, 7),
)
"""Maker and taker rates."""
WEIGHTS = {
    "limit": 30, "ioc": 6, "fok": 5, "market": 6, "post_only": 6, "repeat": 3, "cancel": 12, "cancel_all": 1,
    "amend": 14, "transfer": 2, "edit_instrument": 3, "edit_account": 1, "limits": 1, "epoch": 1, "odd": 3,
}  # fmt: skip
GROUP_WEIGHTS = {
    **ADMIN_WEIGHTS,
    "iceberg": ("icebergs", 12),
    "trigger": ("triggers", 20),
    "trailing": ("triggers", 6),
    "amend_waiting": ("triggers", 5),
    "amend_display": ("icebergs", 4),
    "quote": ("quotes", 6),
    "expiring": ("expiry", 8),
    "oco": ("lists", 7),
    "oto": ("lists", 6),
    "bracket": ("lists", 8),
    "batch": ("batches", 5),
    "atomic_batch": ("batches", 5),
    "cancel_after": ("cancel_after", 3),
    "close_session": ("sessions", 2),
    "cancel_some": ("sessions", 2),
    "tick": ("ticks", 2),
    "guard_session": ("sessions", 3),
}
"""Makers that belong to a group of features, and their weights."""
MILLISECOND_NS, SECOND_NS = 10**6, 10**9
DAY_NS = 86_400 * SECOND_NS
PAUSES = (
    (MILLISECOND_NS,),
    (*[MILLISECOND_NS] * 8, 300_000_000, 2 * SECOND_NS, 6 * SECOND_NS),
    (*[MILLISECOND_NS] * 30, 300_000_000, 6 * SECOND_NS, 3_600 * SECOND_NS, DAY_NS),
    (MILLISECOND_NS, SECOND_NS, DAY_NS, 31 * DAY_NS),
)
"""Times between batches, of which a stream takes one at random each time."""
ALWAYS = {"limit", "cancel"}
KEPT = 0.75
"""Share of the other makers that a stream has."""
KEPT_ADMIN = 0.25
"""The same of what administrators do: together it would leave little to trade."""


@dataclass(frozen=True)
class Profile:
    """What one stream is like."""

    accounts: int
    symbols: int
    middle: int
    """Price in ticks around which orders are placed."""
    reach: int
    """Furthest distance from the middle, in ticks."""
    lots_max: int
    base_funds: int
    """Units that each account starts with."""
    quote_funds: int
    stp: tuple[SelfTradePrevention, ...]
    client_ids: float
    """Share of orders that carry a client_order_id."""
    batch_max: int
    operations_max: int
    """Bound of what one command does to orders."""
    slice_max: int
    """Bound of what one Tick cancels or runs."""
    closed_orders_max: int
    instrument: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    pauses: tuple[int, ...] = (MILLISECOND_NS,)
    """Possible times between batches, in nanoseconds."""


def profile_of(rng: random.Random) -> Profile:
    """Choose a profile by swarm."""
    middle, reach = rng.choice(((1_000, 3), (1_000, 30), (5, 5), (1, 2), (100_000, 500), (40, 6)))
    tick_size, lot_size = rng.choice((("1", "1"), ("0.05", "0.1"), ("0.01", "0.00000001"), ("0.5", "2")))
    notional_unit = int(Fraction(tick_size) * Fraction(lot_size) * 10**QUOTE_SCALE)
    lot_units = int(Fraction(lot_size) * 10**BASE_SCALE)
    lots_max = rng.choice((3, 20, 1_000, 10**6))
    if rng.random() < 0.2:
        lots_max = INTEGER_MAX // max(lot_units, notional_unit * (middle + reach // 2))
    maker_fee, taker_fee = rng.choice(FEES)
    instrument = {"tick_size": tick_size, "lot_size": lot_size, "maker_fee": maker_fee, "taker_fee": taker_fee}
    if rng.random() < 0.25:
        instrument |= {"price_band": rng.choice((5 * PERCENT, 40 * PERCENT)), "reference_price": middle}
    if rng.random() < 0.3:
        instrument |= {"max_slippage": rng.choice((0, PERCENT // 2, 50 * PERCENT))}
    if rng.random() < 0.2:
        instrument |= {"min_quantity": 2, "max_quantity": max(2, lots_max // 2)}
    if rng.random() < 0.2:
        typical = middle * lots_max * notional_unit
        most = min(INTEGER_MAX, max(1, typical // 2))
        instrument |= {"min_notional": max(1, most // 10), "max_notional": most}
    if rng.random() < 0.1:
        others = [kind for kind in KINDS if rng.random() < 0.5]
        instrument |= {"order_types": (OrderType.LIMIT, *others)}
    orders = rng.choice((10**6, 10**6, 60, 8))
    return Profile(
        accounts=rng.choice((1, 2, 3, 3, 8)),
        symbols=rng.choice((1, 1, 2, 3)),
        middle=middle,
        reach=reach,
        lots_max=lots_max,
        base_funds=orders * lots_max * lot_units,
        quote_funds=orders * lots_max * middle * notional_unit,
        stp=rng.choice((STP, STP, (rng.choice(STP),))),
        client_ids=rng.choice((0.0, 0.2, 0.9)),
        batch_max=rng.choice((1, 5, 20, 64)),
        operations_max=rng.choice((300, 300, 40, 4)),
        slice_max=rng.choice((100, 10, 2)),
        closed_orders_max=rng.choice((250_000, 30, 8)),
        instrument=instrument,
        weights=weights_of(rng),
        pauses=rng.choice(PAUSES),
    )


def weights_of(rng: random.Random) -> dict[str, int]:
    """Leave out some makers, and stress some: at times one group of features above all."""
    weights = {name: weight * rng.choice((1, 1, 3)) for name, weight in WEIGHTS.items() if keeps(rng, name)}
    stressed = rng.choice((None, None, *sorted(GROUPS)))
    for name, (group, weight) in GROUP_WEIGHTS.items():
        kept = KEPT_ADMIN if name in ADMIN_WEIGHTS else KEPT
        if group in GROUPS and (group == stressed or rng.random() < kept):
            weights[name] = weight * rng.choice((1, 1, 3)) * (5 if group == stressed else 1)
    return weights


def keeps(rng: random.Random, name: str) -> bool:
    return name in ALWAYS or rng.random() < KEPT
