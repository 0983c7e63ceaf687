"""Closed sets of the trading vocabulary.

Values are the wire's words (PROTOCOL.md), so records and frames need no mapping table and
stay readable for ever. Members are compared with `is`: msgspec decodes to the members.
"""

from enum import StrEnum


class Side(StrEnum):
    """Direction of an order; `taker_side` of a trade uses it too."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How an order is priced and when it becomes active."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order may stay open."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"
    DAY = "day"


class PostOnly(StrEnum):
    """What happens to a post-only order that would take."""

    REJECT = "reject"
    REPRICE = "reprice"


class TriggerBy(StrEnum):
    """Price that is compared with a trigger price."""

    LAST = "last"
    MARK = "mark"


class SelfTradePrevention(StrEnum):
    """Which side gives way when an order would meet its own account; the taker's mode decides."""

    CANCEL_NEWEST = "cancel_newest"
    CANCEL_OLDEST = "cancel_oldest"
    CANCEL_BOTH = "cancel_both"
    DECREMENT = "decrement"


class OrderStatus(StrEnum):
    """Where an order is in its life; the last four are terminal."""

    UNTRIGGERED = "untriggered"
    PENDING = "pending"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class ListKind(StrEnum):
    """How the orders of a list depend on each other."""

    OCO = "oco"
    OTO = "oto"
    BRACKET = "bracket"


class KillSwitchScope(StrEnum):
    """What a kill switch stops."""

    EXCHANGE = "exchange"
    INSTRUMENT = "instrument"
    ACCOUNT = "account"


class OrderReason(StrEnum):
    """Why an order left the book or was changed by something other than a fill."""

    USER = "user"
    CANCEL_ALL = "cancel_all"
    IOC_REMAINDER = "ioc_remainder"
    NO_LIQUIDITY = "no_liquidity"
    SELF_TRADE = "self_trade"
    SLIPPAGE_CAP = "slippage_cap"
    SWEEP_LIMIT = "sweep_limit"
    ADMIN = "admin"
    INSTRUMENT_CLOSED = "instrument_closed"
    CIRCUIT_BREAKER = "circuit_breaker"
    KILL_SWITCH = "kill_switch"
    OCO_PEER = "oco_peer"
    PARENT_ENDED = "parent_ended"
    GTD = "gtd"
    DAY_END = "day_end"
    CANCEL_AFTER = "cancel_after"
    DISCONNECT = "disconnect"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    ACCOUNT_FROZEN = "account_frozen"


class Liquidity(StrEnum):
    """Side of a fill: the resting order makes, the incoming one takes."""

    MAKER = "maker"
    TAKER = "taker"


class InstrumentStatus(StrEnum):
    """Trading phase of an instrument; ENGINE.md has the table of what each admits."""

    OPEN = "open"
    POST_ONLY = "post_only"
    AUCTION = "auction"
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"
    CLOSED = "closed"


class DisconnectScope(StrEnum):
    """Whose orders are canceled when a session is gone."""

    SESSION = "session"
    """What the session placed."""
    ACCOUNT = "account"
    """All of the account's, when no session is left that asked for this."""


class AccountStatus(StrEnum):
    """Whether an account may place orders."""

    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    FROZEN = "frozen"


class Priority(StrEnum):
    """Answer of an amend: whether the order kept its place in the queue."""

    KEPT = "kept"
    LOST = "lost"


class RejectReason(StrEnum):
    """Business refusals of the engine. Each is a wire code; `protocol.codes` gives status and title."""

    INVALID_REQUEST = "invalid_request"
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_ORDER = "unknown_order"
    NOT_FOUND = "not_found"
    ORDER_NOT_OPEN = "order_not_open"
    VERSION_CONFLICT = "version_conflict"
    CLIENT_ORDER_ID_REUSED = "client_order_id_reused"
    TRANSFER_ID_REUSED = "transfer_id_reused"
    INVALID_PRICE_TICK = "invalid_price_tick"
    INVALID_QUANTITY_LOT = "invalid_quantity_lot"
    QUANTITY_OUT_OF_RANGE = "quantity_out_of_range"
    NOTIONAL_OUT_OF_RANGE = "notional_out_of_range"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    PRICE_BAND = "price_band"
    POST_ONLY_WOULD_TAKE = "post_only_would_take"
    FOK_NOT_FILLABLE = "fok_not_fillable"
    NO_LIQUIDITY = "no_liquidity"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    OPEN_ORDER_LIMIT = "open_order_limit"
    INSTRUMENT_HALTED = "instrument_halted"
    INSTRUMENT_NOT_OPEN = "instrument_not_open"
    ACCOUNT_FROZEN = "account_frozen"
    KILL_SWITCH = "kill_switch"
    RESTRICTED_SYMBOL = "restricted_symbol"
    ORDER_RATE_LIMIT = "order_rate_limit"
    ORDER_TRADE_RATIO = "order_trade_ratio"
    DUPLICATE_ORDER = "duplicate_order"
    EXECUTION_THROTTLED = "execution_throttled"
    REDUCE_ONLY_WOULD_INCREASE = "reduce_only_would_increase"
    ORDER_NOTIONAL_LIMIT = "order_notional_limit"
    OPEN_NOTIONAL_LIMIT = "open_notional_limit"
    DAILY_NOTIONAL_LIMIT = "daily_notional_limit"
    POSITION_LIMIT = "position_limit"
    DAILY_LOSS_LIMIT = "daily_loss_limit"
