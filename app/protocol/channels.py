"""Names of the channels of `GET /v1/stream`, and how they are read.

Public: `ticker:SYM`, `orderbook:SYM`, `trades:SYM`, `status`. Private, after `auth`: `orders`, `fills`, `balances`,
`positions`.
A *state* channel may drop a slow reader's backlog and start over; a *fact* channel never drops.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from app.errors import ApiError

_PUBLIC = re.compile(r"(ticker|orderbook|trades):([A-Z0-9.-]{1,20})", re.ASCII)


class PublicKind(StrEnum):
    """What a public channel shows of its symbol."""

    TICKER = "ticker"
    ORDERBOOK = "orderbook"
    TRADES = "trades"
    STATUS = "status"
    """Of the whole exchange: it has no symbol."""


class PrivateChannel(StrEnum):
    """What a private channel shows of its account; the value is the whole name."""

    ORDERS = "orders"
    FILLS = "fills"
    BALANCES = "balances"
    POSITIONS = "positions"


class PublicChannel(NamedTuple):
    """A public channel of one symbol, which need not exist; empty for `status`."""

    kind: PublicKind
    symbol: str

    @property
    def name(self) -> str:
        """Return the name on the wire."""
        return f"{self.kind}:{self.symbol}" if self.symbol else self.kind.value


_STATUS = PublicChannel(PublicKind.STATUS, "")
_PRIVATE = {channel.value: channel for channel in PrivateChannel}


def parse_channel(name: str) -> PublicChannel | PrivateChannel:
    """Return what a name stands for. Raises ApiError `unknown_channel`."""
    if private := _PRIVATE.get(name):
        return private
    if name == _STATUS.name:
        return _STATUS
    if match := _PUBLIC.fullmatch(name):
        return PublicChannel(PublicKind(match[1]), match[2])
    raise ApiError(
        "unknown_channel",
        "Expected ticker:SYM, orderbook:SYM, trades:SYM, status, orders, fills, balances or positions.",
        field="channels",
    )
