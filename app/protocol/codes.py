"""The one table of error codes: HTTP status, title, and whether a plain repetition may succeed.

PROTOCOL.md promises these words to clients; they only grow. `retryable` of `execution_unknown`
is decided per call (is there a natural key that makes sending it again safe?), so the table
gives only its default.
"""

from typing import NamedTuple


class CodeInfo(NamedTuple):
    """What a code means to a client."""

    status: int
    title: str
    retryable: bool = False


CODES: dict[str, CodeInfo] = {
    "invalid_request": CodeInfo(400, "The request does not have the promised form"),
    "invalid_json": CodeInfo(400, "The body is not valid JSON"),
    "method_not_allowed": CodeInfo(405, "This path does not know the method"),
    "unsupported_media_type": CodeInfo(415, "The body must be application/json without content encoding"),
    "unauthenticated": CodeInfo(401, "Credentials are missing or unknown"),
    "invalid_signature": CodeInfo(401, "The signature does not match the request"),
    "timestamp_out_of_window": CodeInfo(401, "The request's timestamp is outside its window"),
    "replayed_request": CodeInfo(401, "This signature was used before"),
    "token_expired": CodeInfo(401, "The access token has expired"),
    "forbidden": CodeInfo(403, "The credentials do not permit this"),
    "missing_scope": CodeInfo(403, "The credentials lack the scope this call needs"),
    "not_found": CodeInfo(404, "There is nothing here"),
    "unknown_symbol": CodeInfo(422, "There is no such instrument"),
    "unknown_channel": CodeInfo(422, "There is no such channel"),
    "unknown_order": CodeInfo(404, "There is no such order"),
    "order_not_open": CodeInfo(409, "The order is no longer open"),
    "version_conflict": CodeInfo(409, "The order has another version"),
    "client_order_id_reused": CodeInfo(409, "The client_order_id belongs to a different order"),
    "transfer_id_reused": CodeInfo(409, "The transfer_id belongs to a different transfer"),
    "invalid_price_tick": CodeInfo(422, "The price is not a multiple of the tick size"),
    "invalid_quantity_lot": CodeInfo(422, "The quantity is not a multiple of the lot size"),
    "quantity_out_of_range": CodeInfo(422, "The quantity is outside the instrument's range"),
    "notional_out_of_range": CodeInfo(422, "The notional is outside the instrument's range"),
    "type_not_allowed": CodeInfo(422, "The instrument does not take this kind of order now"),
    "price_band": CodeInfo(422, "The price is outside the band around the reference price"),
    "post_only_would_take": CodeInfo(422, "The post-only order would take liquidity"),
    "fok_not_fillable": CodeInfo(422, "The fill-or-kill order cannot be filled whole"),
    "no_liquidity": CodeInfo(422, "There is nothing to trade against"),
    "insufficient_balance": CodeInfo(422, "The available balance does not cover it"),
    "open_order_limit": CodeInfo(422, "The account has too many open orders"),
    "order_notional_limit": CodeInfo(422, "The order's notional is above the limit"),
    "open_notional_limit": CodeInfo(422, "The account's open orders would pass their notional limit"),
    "position_limit": CodeInfo(422, "The position would pass its limit"),
    "daily_loss_limit": CodeInfo(422, "The day's loss limit is reached"),
    "order_rate_limit": CodeInfo(429, "Too many order messages", True),
    "reduce_only_would_increase": CodeInfo(422, "The reduce-only order would increase the position"),
    "instrument_halted": CodeInfo(422, "The instrument is halted"),
    "instrument_not_open": CodeInfo(422, "The instrument is not open for this order"),
    "account_frozen": CodeInfo(422, "The account may not trade"),
    "kill_switch": CodeInfo(422, "A kill switch is on"),
    "deadline_exceeded": CodeInfo(504, "The deadline passed before execution", True),
    "rate_limited": CodeInfo(429, "Too many requests", True),
    "too_many_subscriptions": CodeInfo(422, "The session has too many channels"),
    "message_too_big": CodeInfo(413, "The message is too big"),
    "slow_consumer": CodeInfo(422, "The client reads too slowly"),
    "not_caught_up": CodeInfo(409, "This replica has not applied min_seq yet", True),
    "amount_out_of_range": CodeInfo(422, "The amount is outside the possible range"),
    "daily_notional_limit": CodeInfo(422, "The day's notional limit is reached"),
    "duplicate_order": CodeInfo(422, "An equal order came a moment ago"),
    "execution_throttled": CodeInfo(422, "Repeated executions tripped the throttle"),
    "order_trade_ratio": CodeInfo(422, "Too many orders for the trades they made"),
    "restricted_symbol": CodeInfo(422, "The account may not trade this instrument"),
    "approval_required": CodeInfo(422, "A second person must approve"),
    "circuit_breaker": CodeInfo(422, "The volatility breaker stopped the instrument"),
    "quarantined": CodeInfo(422, "The command stopped an engine and is not executed any more"),
    "cancel_only": CodeInfo(503, "Orders can only be canceled right now", True),
    "engine_unavailable": CodeInfo(503, "No engine is leading right now", True),
    "execution_unknown": CodeInfo(504, "The command may or may not have been executed"),
    "service_unavailable": CodeInfo(503, "A dependency is unavailable", True),
    "internal_error": CodeInfo(500, "Something broke on our side"),
}
