"""Kinds of text that requests are made of, and the base of their bodies."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.decimals import DECIMAL_CHARACTERS_MAX, DECIMAL_PATTERN

RATE_PATTERN = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]{1,8})?\Z"
SYMBOL_PATTERN = r"^[A-Z0-9.-]{1,20}\Z"
ASSET_PATTERN = r"^[A-Z0-9]{1,12}\Z"
NAME_36_PATTERN = r"^[A-Za-z0-9._:-]{1,36}\Z"
NAME_64_PATTERN = r"^[A-Za-z0-9._:-]{1,64}\Z"
ACCOUNT_NAME_PATTERN = r"^[A-Za-z0-9._:@+-]{1,64}\Z"
ID_PATTERN = r"^[1-9][0-9]{0,18}\Z"
EMAIL_PATTERN = r"^[!-?A-~]+@[!-?A-~]+\Z"
NAME_PATTERN = r"^[^\x00-\x1f\x7f]{1,64}\Z"
SCOPE_PATTERN = r"^(?:read|trade|transfer|admin)\Z"
UNITS_PATTERN = r"^(?:0|[1-9][0-9]{0,29})\Z"
TIER_PATTERN = r"^[A-Za-z0-9._-]{1,36}\Z"
DEPTH_PATTERN = r"^(?:full|[1-9][0-9]{0,3})\Z"

DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN, max_length=DECIMAL_CHARACTERS_MAX)]
RateText = Annotated[str, Meta(pattern=RATE_PATTERN, max_length=20)]
"""A fee, band or slippage as a fraction (0.001 is 10 basis points), to 8 decimals; only a maker fee may be negative."""
SymbolText = Annotated[str, Meta(pattern=SYMBOL_PATTERN)]
AssetText = Annotated[str, Meta(pattern=ASSET_PATTERN)]
ClientOrderId = Annotated[str, Meta(pattern=NAME_36_PATTERN)]
Label = Annotated[str, Meta(pattern=NAME_36_PATTERN)]
TransferId = Annotated[str, Meta(pattern=NAME_64_PATTERN)]
AccountName = Annotated[str, Meta(pattern=ACCOUNT_NAME_PATTERN)]
IdText = Annotated[str, Meta(pattern=ID_PATTERN)]
EmailText = Annotated[str, Meta(min_length=3, max_length=254, pattern=EMAIL_PATTERN)]
"""Printable ASCII: no two spellings look alike, and no control character reaches the database."""
NameText = Annotated[str, Meta(pattern=NAME_PATTERN)]
Timestamp = Annotated[str, Meta(max_length=40)]
Version = Annotated[int, Meta(ge=1, le=2**53)]
Scope = Annotated[str, Meta(pattern=SCOPE_PATTERN)]
UnitsText = Annotated[str, Meta(pattern=UNITS_PATTERN)]
TierName = Annotated[str, Meta(pattern=TIER_PATTERN)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every request body: unknown fields are refused."""
