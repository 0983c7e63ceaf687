"""Kinds of text that requests are made of, and the base of their bodies."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.domain.decimals import DECIMAL_CHARACTERS_MAX, DECIMAL_PATTERN

DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN, max_length=DECIMAL_CHARACTERS_MAX)]
RateText = Annotated[str, Meta(pattern=r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]{1,8})?\Z", max_length=20)]
"""A fee, band or slippage as a fraction (0.001 is 10 basis points), to 8 decimals; only a maker fee may be negative."""
SymbolText = Annotated[str, Meta(pattern=r"^[A-Z0-9.-]{1,20}\Z")]
AssetText = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,12}\Z")]
ClientOrderId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,36}\Z")]
Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,36}\Z")]
TransferId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
AccountName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@+-]{1,64}\Z")]
IdText = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,18}\Z")]
EmailText = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+\Z")]
"""Printable ASCII: no two spellings look alike, and no control character reaches the database."""
NameText = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,64}\Z")]
Timestamp = Annotated[str, Meta(max_length=40)]
Version = Annotated[int, Meta(ge=1, le=2**53)]
Scope = Annotated[str, Meta(pattern=r"^(?:read|trade|transfer|admin)\Z")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every request body: unknown fields are refused."""
