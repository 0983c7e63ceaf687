"""The small Protocols through which the stages meet; `bootstrap` wires what stands behind them.

Everything raises `errors.ApiError` for a refusal that a client should see.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from app.domain.commands import Command
from app.domain.enums import DisconnectScope, Side
from app.domain.events import BookLevels
from app.domain.identity import Principal, SessionKey
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from app.domain.standing import AccountStanding
from app.protocol import admin_schemas, schemas


class BusEntry(msgspec.Struct, frozen=True):
    """One journal row on the bus; `body` is an encoded BatchRecord without commands."""

    first_seq: int
    last_seq: int
    body: bytes


class Bus(Protocol):
    """Sequenced fan-out of committed batches of one shard and epoch; a rebuildable cache of the journal.

    All methods raise `errors.BusUnavailable` when the server does not answer in time.
    """

    async def publish(self, entries: Sequence[BusEntry]) -> None:
        """Append entries under their own ids; one that is there already counts as published."""

    async def last_seq(self) -> int:
        """Return the highest sequence ever published, 0 if none."""

    async def read(self, after: int, *, limit: int, block_ms: int) -> list[BusEntry]:
        """Return entries after a sequence, oldest first, waiting up to block_ms for the first."""

    async def trim(self, min_seq: int) -> None:
        """Forget entries below a sequence."""

    async def close(self) -> None:
        """Let go of the connections."""


class BookView(msgspec.Struct, frozen=True, array_like=True):
    """A whole published book at a sequence: what the leader's publisher view answers over the link."""

    symbol: str
    engine_seq: int
    epoch: int
    seq: int
    timestamp_ns: int
    bids: BookLevels
    asks: BookLevels
    auction: tuple[int, int, int] | None = None
    """Price, quantity and surplus that a call auction stated last; it counts only while the instrument is in one."""


class BookSource(Protocol):
    """Where a replica gets a book that it does not keep yet."""

    async def book(self, symbol: str) -> BookView:
        """Return the committed book of a known symbol, with everything that was on the bus when it was asked for."""


class CommandLink(Protocol):
    """Commands to the leader and outcomes back, first in first out per session."""

    async def submit(
        self, command: Command, *, session_id: str | None = None, deadline_ms: int | None = None
    ) -> Outcome:
        """Execute one command; returns after its batch is committed."""


class Standings(Protocol):
    """What only the leader counts of an account."""

    async def standing(self, account_id: int) -> AccountStanding:
        """Return how an account stands, with everything that was committed when this was called.

        Raises ApiError: engine_unavailable, service_unavailable, not_found.
        """


class SessionHolds(Protocol):
    """Tells whoever leads which guarded sessions this replica has sockets of."""

    def hold(self, key: SessionKey, scope: DisconnectScope, grace_ms: int) -> None:
        """Count a socket that answers for a session; told before what is submitted later. Raises ApiError."""

    def change(self, key: SessionKey, scope: DisconnectScope, grace_ms: int) -> None:
        """Note what a held session asks for now."""

    def release(self, key: SessionKey) -> None:
        """Count one socket less: without any its grace begins."""


class Instruments(Protocol):
    """A replica's view of the listed instruments and assets, fed by system events."""

    def get(self, symbol: str) -> Instrument | None:
        """Return an instrument, or None."""

    def all(self) -> list[Instrument]:
        """Return all instruments by symbol."""

    def asset_scale(self, asset: str) -> int | None:
        """Return the decimal places of an asset, or None."""


class OrderEntry(Protocol):
    """The gateway's order calls, for any transport. `session_id` keeps the order of one connection."""

    async def place(
        self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None = None
    ) -> schemas.PlacedOrder:
        """Place one order; `duplicate` is true when the client_order_id had placed it already."""

    async def cancel(
        self,
        principal: Principal,
        *,
        order_id: str | None = None,
        client_order_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrder:
        """Cancel one order by exactly one of its ids."""

    async def amend(
        self, principal: Principal, order_id: str, request: schemas.AmendOrderRequest, *, session_id: str | None = None
    ) -> schemas.AmendedOrder:
        """Change price or quantity of an open order."""

    async def cancel_all(
        self,
        principal: Principal,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        label: str | None = None,
        order_list_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrders:
        """Cancel every open order that matches, atomically."""

    async def place_batch(
        self, principal: Principal, request: schemas.BatchRequest, *, session_id: str | None = None
    ) -> schemas.PlacedBatch:
        """Place several orders in one command, each by itself or all of them or none."""

    async def place_list(
        self, principal: Principal, request: schemas.OrderListRequest, *, session_id: str | None = None
    ) -> schemas.PlacedList:
        """Place orders that depend on each other."""

    async def check(self, principal: Principal, request: schemas.PlaceOrderRequest) -> schemas.CheckedOrder:
        """Run every check of an order without placing it."""

    async def guard_session(
        self, key: SessionKey, scope: DisconnectScope | None, grace_ms: int, *, is_adopted: bool = False
    ) -> None:
        """Have orders canceled so long after a session is gone, or no more (None); the account is the key's.

        An adopted session is refused with `not_found` unless it is guarded still.
        """

    async def cancel_after(
        self, principal: Principal, request: schemas.CancelAfterRequest, *, session_id: str | None = None
    ) -> schemas.CancelAfter:
        """Arm the account's dead man's switch anew, or disarm it."""

    def acknowledge(self, account_id: int, engine_seq: int) -> None:
        """Note a sequence that this replica acknowledged to the account by other calls than these."""

    def acknowledged_seq(self, account_id: int) -> int:
        """Return the highest engine_seq this replica acknowledged for the account, 0 if none."""


class Administration(Protocol):
    """The gateway's administrative calls, all committed when they return; the caller has checked scope `admin`."""

    async def create_asset(self, request: admin_schemas.AssetRequest) -> int:
        """Add an asset; returns engine_seq."""

    async def create_instrument(self, request: admin_schemas.InstrumentRequest) -> tuple[schemas.InstrumentShape, int]:
        """List an instrument; returns it and engine_seq."""

    async def edit_instrument(
        self, symbol: str, request: admin_schemas.InstrumentEditRequest
    ) -> tuple[schemas.InstrumentShape, int]:
        """Change status, filters or fees."""

    async def set_reference(self, symbol: str, request: admin_schemas.ReferenceRequest) -> int:
        """State an external price of an instrument; returns engine_seq."""

    async def set_fee_tiers(self, request: admin_schemas.FeeTiersRequest) -> int:
        """Replace the fee tiers of a quote asset; returns engine_seq."""

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        """Open an account; returns account_id, engine_seq, and whether it existed under this name."""

    async def edit_account(self, account_id: int, request: admin_schemas.AccountEditRequest) -> int:
        """Change status, tier, limits, group or restrictions; returns engine_seq."""

    async def deposit(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        """Credit from outside; returns engine_seq and whether the transfer_id had done it already."""

    async def withdraw(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        """Debit to outside; returns engine_seq and whether the transfer_id had done it already."""

    async def transfer(self, account_id: int, request: admin_schemas.MoveRequest) -> tuple[int, bool]:
        """Move money to another account; returns engine_seq and whether the transfer_id had done it already."""

    async def set_limits(self, request: admin_schemas.LimitsRequest) -> int:
        """Change limits of the exchange, or of a tier; returns engine_seq."""

    async def set_kill_switch(self, request: admin_schemas.KillSwitchRequest) -> tuple[int, bool]:
        """Stop trading of a scope or allow it again; returns engine_seq and whether it stood so already."""

    async def engine_status(self) -> dict[str, object]:
        """Return term, sequence, state hash, epoch, mode and build of the leader."""


class Authenticator(Protocol):
    """Authentication for both transports."""

    async def by_token(self, token: str) -> Principal:
        """Return who an access token speaks for."""

    async def by_signature(
        self,
        *,
        key: str,
        timestamp: str,
        recv_window: str | None,
        signature: str,
        method: str,
        target: str,
        body: bytes,
        address: str | None,
    ) -> Principal:
        """Return who signed `timestamp + METHOD + target + body` with an API key."""

    async def revoked_keys(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return those of these API keys that are revoked by now, not from a cache."""


class MarketData(Protocol):
    """A replica's live books and tickers, for REST reads."""

    async def book_snapshot(self, symbol: str, *, depth: int | None, min_seq: int | None) -> schemas.BookSnapshot:
        """Return the book; depth None is full. Waits at most 2 s for min_seq, then `not_caught_up`."""

    async def ticker(self, symbol: str) -> schemas.Ticker:
        """Return the current ticker."""

    def applied_seq(self) -> int:
        """Return the last journal sequence this replica applied from the bus."""

    async def wait_applied(self, seq: int) -> None:
        """Return when a sequence is applied. Waits at most 2 s, then `not_caught_up` with limit and actual."""
