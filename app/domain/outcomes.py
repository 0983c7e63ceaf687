"""The engine's answer to one command, released to the gateway only after its batch is committed."""

import msgspec

from app.domain.enums import Priority
from app.domain.events import Fill, OrderState, Rejection
from app.domain.instrument import Instrument


class BookTop(msgspec.Struct, array_like=True, gc=False):
    """Best bid and ask right after a command, in ticks and lots; price 0 means that side is empty.

    `seq` is the book's sequence once the command's batch is sealed: a client that has applied it
    has seen the command. It is the only field written after construction, by `seal`.
    """

    epoch: int
    seq: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class BatchResult(msgspec.Struct, array_like=True, gc=False):
    """What became of one order of a batch: an order with its fills, or a rejection."""

    rejection: Rejection | None = None
    order: OrderState | None = None
    fills: tuple[Fill, ...] = ()
    duplicate: bool = False


class CheckResult(msgspec.Struct, array_like=True, gc=False):
    """One check of a validated order: what the limit is, and what the order would bring it to.

    `limit` and `used` are integers as text in `unit` (as in Rejection), None where a check has no number.
    """

    check: str
    """Name of the check: the code it would refuse with."""
    passed: bool
    limit: str | None = None
    used: str | None = None
    unit: str | None = None


class Outcome(msgspec.Struct, array_like=True, gc=False):
    """What became of a command. Exactly one of `rejection` and the rest is filled, but for a refused amend."""

    engine_seq: int
    timestamp_ns: int
    rejection: Rejection | None = None
    order: OrderState | None = None
    fills: tuple[Fill, ...] = ()
    book: BookTop | None = None
    duplicate: bool = False
    priority: Priority | None = None
    orders: tuple[OrderState, ...] = ()
    """Canceled orders of a cancel_all, placed orders of a place_list."""
    account_id: int | None = None
    """Given by create_account."""
    instrument: Instrument | None = None
    """As it stands after create_instrument and update_instrument; the order's beside a refused amend's rejection."""
    results: tuple[BatchResult, ...] = ()
    """Of place_batch, in the order of its orders."""
    checks: tuple[CheckResult, ...] = ()
    """Of check_order, in the order of the checks."""
    order_list_id: int | None = None
    """Given by place_list."""
    trigger_ns: int | None = None
    """When an armed set_cancel_after will fire."""
