"""Limits that protect the exchange from an account, and an account from itself.

They exist on three levels (exchange, tier, account); the tightest that is set holds. All are
counts, quote units or nanoseconds; None is no limit.
"""

from typing import NamedTuple

from app.domain.enums import RejectReason

RATE_WINDOW_NS = 1_000_000_000
"""Rates count per second of command time, from one whole second to the next."""
LIMIT_MAX = 10**30
OPEN_ORDERS_DEFAULT = 5_000
"""Open orders of an account until the exchange's own limit is changed; every other limit is unset."""


class LimitInfo(NamedTuple):
    """What a limit refuses with, and in which unit it is."""

    reason: RejectReason
    unit: str
    """`count`, `quote` (units of the instrument's quote asset) or `ns`."""
    tightest_is_largest: bool = False


LIMITS: dict[str, LimitInfo] = {
    "message_rate": LimitInfo(RejectReason.ORDER_RATE_LIMIT, "count"),
    "symbol_message_rate": LimitInfo(RejectReason.ORDER_RATE_LIMIT, "count"),
    "rejection_rate": LimitInfo(RejectReason.ORDER_RATE_LIMIT, "count"),
    "order_trade_ratio": LimitInfo(RejectReason.ORDER_TRADE_RATIO, "count"),
    "duplicate_window_ns": LimitInfo(RejectReason.DUPLICATE_ORDER, "ns", tightest_is_largest=True),
    "execution_rate": LimitInfo(RejectReason.EXECUTION_THROTTLED, "count"),
    "open_orders": LimitInfo(RejectReason.OPEN_ORDER_LIMIT, "count"),
    "symbol_open_orders": LimitInfo(RejectReason.OPEN_ORDER_LIMIT, "count"),
    "order_notional": LimitInfo(RejectReason.ORDER_NOTIONAL_LIMIT, "quote"),
    "open_notional": LimitInfo(RejectReason.OPEN_NOTIONAL_LIMIT, "quote"),
    "daily_notional": LimitInfo(RejectReason.DAILY_NOTIONAL_LIMIT, "quote"),
    "position_notional": LimitInfo(RejectReason.POSITION_LIMIT, "quote"),
    "daily_loss": LimitInfo(RejectReason.DAILY_LOSS_LIMIT, "quote"),
}
