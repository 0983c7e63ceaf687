"""What a field has to be, in a sentence: for refusals that name a field and else would leave the reader guessing."""

from app.domain.decimals import DECIMAL_PATTERN
from app.domain.limits import LIMITS
from app.protocol import fields
from app.protocol.limit_shapes import wire_name

_RESTS = "an order with a price that may rest (gtc, gtd, day)"

FIELD_RULES = {
    # Orders, and amends of them.
    "price": "Orders of type limit, stop_limit and take_profit_limit have a price, all others none.",
    "quantity": "An order by quote_quantity takes no quantity, and that of an order of a list never changes.",
    "quote_quantity": "Only a market buy with time_in_force ioc takes quote_quantity.",
    "time_in_force": "A market order takes ioc and fok; stop, take_profit and trailing_stop take gtc, gtd and day.",
    "post_only": f"Only {_RESTS} can be post_only.",
    "display_quantity": f"Only {_RESTS}, outside of order lists, takes display_quantity; it is placed with less than "
    "its quantity.",
    "trigger_price": "stop, stop_limit, take_profit and take_profit_limit have a trigger_price, all other types none. "
    "It changes only while the order waits.",
    "trigger_by": "Only orders that wait for a trigger take trigger_by; a trailing_stop follows last only, and mark "
    "needs a mark price.",
    "trailing_offset": "A trailing_stop has a trailing_offset, all other orders none.",
    "expire_at": "An order with time_in_force gtd has an expire_at in the future, all others none.",
    "max_slippage": "Only orders without a price take max_slippage.",
    "stp": "An order by quote_quantity cannot decrement.",
    "reduce_only": "An order by quote_quantity cannot be reduce_only.",
    "orders": "An atomic batch admits only limit orders that may rest, without reduce_only.",
    "timeout_ms": "Expected 0, or 3000 to 300000 ms.",
    # Money and accounts.
    "asset": "There is no such asset.",
    "to_account_id": "Expected another account than the one that pays.",
    "tier": "There is no such tier: it exists from its first limits on.",
    "stp_group": "Expected a whole number of at most 18 digits, or null.",
    "restricted": "Expected symbols of listed instruments.",
    "target": "Expected no target for the exchange, a symbol for an instrument, an account_id for an account.",
    "tiers": "Expected tiers by rising volume, rates below 1, and no rebate above the tier's own taker_fee.",
    # Assets and instruments.
    "scale": "The asset exists with another scale, or there are too many assets.",
    "symbol": "The instrument exists with other members, or there are too many.",
    "base": "Expected an asset that exists and is not the quote.",
    "quote": "Expected an asset that exists.",
    "tick_size": "A tick times a lot must be a whole number of the quote asset's smallest unit.",
    "lot_size": "A lot must be a whole number of the base asset's smallest unit.",
    "max_quantity": "Expected nothing below min_quantity.",
    "max_notional": "Expected nothing below min_notional.",
    "maker_fee": "Expected a fraction between -1 and 1.",
    "taker_fee": "Expected a fraction from 0 to below 1 that covers the maker's rebate.",
    "price_band": "Expected a fraction from 0 to below 1.",
    "reference_price": "An instrument with a price_band needs a reference_price.",
    "order_types": "Expected one type or more.",
    "breaker_move": "A breaker needs breaker_move, breaker_window_ms and breaker_halt_ms, or none of them.",
    "breaker_window_ms": "A breaker needs breaker_move, breaker_window_ms and breaker_halt_ms, or none of them.",
    "breaker_halt_ms": "A breaker needs breaker_move, breaker_window_ms and breaker_halt_ms, or none of them.",
    **{wire_name(name): "Expected a whole number of at most 30 digits, or null." for name in LIMITS},
}
"""By the name that requests have for the field: what the engine means when it refuses one with `invalid_request`."""
SAME_BATCH = "Another order of the atomic batch was refused."
NO_LIST = (
    "The orders make no such list: expected orders of one symbol that may rest, an oco of two of one side and quantity "
    "that do not both trade at once, an oto of a parent and one or two children of its quantity, or a bracket of an "
    "entry with target and stop on the other side."
)
CLOSED_FOR_GOOD = (
    "A closed instrument never changes again, and one whose book is crossed opens only out of its auction."
)

_ID_CHARACTERS = "letters, digits and . _ : -"
_PATTERNS = {
    DECIMAL_PATTERN: 'a decimal as text in plain notation, like "0.25"',
    fields.RATE_PATTERN: 'a fraction as text with at most 8 decimals, like "0.001"',
    fields.SYMBOL_PATTERN: "a symbol: 1 to 20 of A-Z, 0-9, . and -",
    fields.ASSET_PATTERN: "an asset: 1 to 12 of A-Z and 0-9",
    fields.NAME_36_PATTERN: f"1 to 36 {_ID_CHARACTERS}",
    fields.NAME_64_PATTERN: f"1 to 64 {_ID_CHARACTERS}",
    fields.ACCOUNT_NAME_PATTERN: f"1 to 64 {_ID_CHARACTERS} @ +",
    fields.ID_PATTERN: "an id: a whole number as text",
    fields.EMAIL_PATTERN: "an email address",
    fields.NAME_PATTERN: "1 to 64 characters without control characters",
    fields.SCOPE_PATTERN: "read, trade, transfer or admin",
    fields.UNITS_PATTERN: "a whole number as text",
    fields.TIER_PATTERN: "1 to 36 letters, digits and . _ -",
    fields.DEPTH_PATTERN: "1 to 5000, or full",
}


def pattern_rule(message: str) -> str | None:
    """Return what a text should have looked like, from msgspec's message about a pattern; None for another message."""
    return _BY_MESSAGE.get(message)


_BY_MESSAGE = {
    f"Expected `str` matching regex {pattern!r}": f"Expected {words}." for pattern, words in _PATTERNS.items()
}
