"""Read your own writes, on any replica: a read waits until what it must see is applied.

Private reads come from the core projection in PostgreSQL, public ones from the replica's own view.
Both wait at most 2 s for `min_seq` and then refuse with `not_caught_up`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.services import Services
from app.domain.identity import Principal
from app.domain.instrument import Instrument
from app.domain.standing import AccountStanding
from app.errors import ApiError
from app.protocol.ports import Instruments, MarketData
from app.storage.accounts import get_account
from app.storage.cursors import cursor
from app.storage.database import reading_one_moment

WAIT_SECONDS_MAX = 2.0
ACCOUNT_POLL_SECONDS = 0.02
RETRY_AFTER_MS = 250


@asynccontextmanager
async def account_snapshot(
    given: Services, principal: Principal, min_seq: int | None
) -> AsyncIterator[tuple[AsyncConnection, int]]:
    """Yield one consistent view of the projections that has `min_seq`, and the exact sequence it stands at.

    Without `min_seq` it has what this replica last acknowledged for the account. Raises ApiError `not_caught_up`.
    """
    wanted = given.order_entry.acknowledged_seq(principal.account_id) if min_seq is None else min_seq
    async with projection_snapshot(given, wanted) as snapshot:
        yield snapshot


@asynccontextmanager
async def projection_snapshot(given: Services, min_seq: int | None) -> AsyncIterator[tuple[AsyncConnection, int]]:
    """Yield one consistent view of the projections that has `min_seq`, and the exact sequence it stands at.

    Raises ApiError `not_caught_up`.
    """
    if min_seq:
        # Before the snapshot: inside it the cursor would stand still.
        await given.core_cursor.wait(min_seq, WAIT_SECONDS_MAX)
    async with reading_one_moment(given.database) as connection:
        as_of_seq = await cursor(connection, given.shard)
        given.core_cursor.note(as_of_seq)
        if as_of_seq < (min_seq or 0):
            # The server crashed since, and the tables are made anew from the journal.
            raise not_caught_up(min_seq, as_of_seq)
        yield connection, as_of_seq


async def standing_at(given: Services, principal: Principal, min_seq: int | None) -> AccountStanding:
    """Return how an account stands at the leader, at `min_seq` or later.

    Whatever this replica acknowledged is part of it without waiting: the leader answers of what is committed.
    Raises ApiError `not_caught_up`, or what the leader cannot be asked for.
    """
    standing = await given.standings.standing(principal.account_id)
    if min_seq is not None and standing.engine_seq < min_seq:
        # Nobody was told a sequence that the leader has not committed. So it is asked once more at most, when this
        # replica has heard of it, and not again and again by everybody who names one.
        await given.market_data.wait_applied(min_seq)
        standing = await given.standings.standing(principal.account_id)
        if standing.engine_seq < min_seq:
            raise not_caught_up(min_seq, standing.engine_seq)
    return standing


async def account_exists(given: Services, account_id: int) -> bool:
    """Return whether there is such an account, waiting for one that was opened a moment ago to be projected."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while await get_account(given.database, account_id) is None:
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(ACCOUNT_POLL_SECONDS)
    return True


async def market_at(market: MarketData, min_seq: int | None) -> int:
    """Return the sequence that this replica has applied, at least `min_seq`. Raises ApiError `not_caught_up`."""
    if min_seq is not None:
        await market.wait_applied(min_seq)
    return market.applied_seq()


def not_caught_up(min_seq: int | None, applied: int) -> ApiError:
    """Return the refusal of a read that waited in vain."""
    return ApiError(
        "not_caught_up",
        "This replica has not applied that sequence yet.",
        limit=str(min_seq),
        actual=str(applied),
        retry_after_ms=RETRY_AFTER_MS,
    )


def instrument_of(instruments: Instruments, symbol: str) -> Instrument:
    """Return the instrument of a row. Raises ApiError `not_caught_up` if this replica has not heard of it yet."""
    instrument = instruments.get(symbol)
    if instrument is None:
        raise ApiError("not_caught_up", "This replica does not know the instrument yet.", retry_after_ms=RETRY_AFTER_MS)
    return instrument


def known_symbol(instruments: Instruments, symbol: str | None) -> None:
    """Refuse a filter for an instrument that is not listed. Raises ApiError `unknown_symbol`."""
    if symbol is not None and instruments.get(symbol) is None:
        raise ApiError("unknown_symbol", "There is no such instrument.", field="symbol")


def scale_of(instruments: Instruments, asset: str) -> int:
    """Return the scale of a row's asset. Raises ApiError `not_caught_up` if this replica has not heard of it yet."""
    scale = instruments.asset_scale(asset)
    if scale is None:
        raise ApiError("not_caught_up", "This replica does not know the asset yet.", retry_after_ms=RETRY_AFTER_MS)
    return scale
