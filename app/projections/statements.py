"""The bulk statements of the core projection: one per table, columns as arrays.

Facts are plain inserts, so that a fact projected twice would be an error and not a silent no-op.
States are upserts.
"""

from collections.abc import Iterator, Sequence

from app.domain.enums import AccountStatus
from app.projections.changes import Changes
from app.protocol.records import encode

Statement = tuple[str, Sequence[Sequence[object]]]
"""SQL, and its parameters: one array per column."""

_EVENTS = """
INSERT INTO account_events (account_id, account_seq, engine_seq, timestamp_ns, event)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])
"""
_ORDERS = """
INSERT INTO orders (account_id, order_id, client_order_id, symbol, side, label, status, version, price, quantity,
    filled_quantity, notional, fees, reason, created_ns, updated_ns, engine_seq, display_quantity, trigger_price,
    order_list_id, terms)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[],
    $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bytea[])
ON CONFLICT (account_id, order_id) DO UPDATE SET status = excluded.status, version = excluded.version,
    price = excluded.price, quantity = excluded.quantity, filled_quantity = excluded.filled_quantity,
    notional = excluded.notional, fees = excluded.fees, reason = excluded.reason,
    updated_ns = excluded.updated_ns, engine_seq = excluded.engine_seq,
    display_quantity = excluded.display_quantity, trigger_price = excluded.trigger_price
"""
_FILLS = """
INSERT INTO fills (account_id, account_seq, order_id, client_order_id, symbol, side, trade_id, price, quantity, fee,
    liquidity, engine_seq, timestamp_ns)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[])
"""
_TRADES = """
INSERT INTO trades (symbol, trade_id, price, quantity, taker_side, maker_order_id, taker_order_id, maker_account_id,
    taker_account_id, engine_seq, timestamp_ns)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
"""
# Amounts travel as text: they may pass 64 bits.
_BALANCES = """
INSERT INTO balances (account_id, asset, available, held, account_seq, engine_seq)
SELECT account_id, asset, available::numeric, held::numeric, account_seq, engine_seq
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    AS changed (account_id, asset, available, held, account_seq, engine_seq)
ON CONFLICT (account_id, asset) DO UPDATE SET available = excluded.available, held = excluded.held,
    account_seq = excluded.account_seq, engine_seq = excluded.engine_seq
"""
_ASSETS = """
INSERT INTO assets (asset, scale, engine_seq) SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[])
"""
_INSTRUMENTS = """
INSERT INTO instruments (symbol, shard, base, quote, tick_size, lot_size, status, definition, engine_seq)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bytea[], $9::bigint[])
ON CONFLICT (symbol) DO UPDATE SET status = excluded.status, definition = excluded.definition,
    engine_seq = excluded.engine_seq
"""
_ACCOUNTS = """
INSERT INTO accounts (account_id, shard, name, status, account_seq, created_ns, engine_seq)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
"""
_ACCOUNT_STATUSES = """
UPDATE accounts SET status = changed.status, restraints = changed.restraints, engine_seq = changed.engine_seq
FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[]) AS changed (account_id, status, restraints, engine_seq)
WHERE accounts.account_id = changed.account_id
"""
_LIMITS = """
INSERT INTO limit_levels (tier, limits, engine_seq) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])
ON CONFLICT (tier) DO UPDATE SET limits = excluded.limits, engine_seq = excluded.engine_seq
"""
_ACCOUNT_SEQS = """
UPDATE accounts SET account_seq = changed.account_seq
FROM unnest($1::bigint[], $2::bigint[]) AS changed (account_id, account_seq)
WHERE accounts.account_id = changed.account_id
"""


def statements_of(changes: Changes, shard: int) -> Iterator[Statement]:
    """Yield the statements that carry out the changes, in order; tables without changes get none."""
    for sql, rows in (
        (_ACCOUNTS, _account_rows(changes, shard)),
        (_ACCOUNT_STATUSES, _status_rows(changes)),
        (_LIMITS, ((tier, encode(event), event.engine_seq) for tier, event in changes.limits.items())),
        (_ASSETS, ((event.asset, event.scale, event.engine_seq) for event in changes.assets)),
        (_INSTRUMENTS, _instrument_rows(changes, shard)),
        (_ORDERS, _order_rows(changes)),
        (_FILLS, _fill_rows(changes)),
        (_TRADES, _trade_rows(changes)),
        (_BALANCES, _balance_rows(changes)),
        (_EVENTS, _event_rows(changes)),
        (_ACCOUNT_SEQS, changes.account_seqs.items()),
    ):
        columns = list(zip(*rows, strict=True))
        if columns:
            yield sql, columns


def _account_rows(changes: Changes, shard: int) -> Iterator[tuple[object, ...]]:
    for event, at_ns in changes.accounts:
        yield event.account_id, shard, event.name, AccountStatus.ACTIVE.value, 0, at_ns, event.engine_seq


def _status_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for event in changes.account_updates.values():
        yield event.account_id, event.status.value, encode(event), event.engine_seq


def _instrument_rows(changes: Changes, shard: int) -> Iterator[tuple[object, ...]]:
    for event in changes.instruments.values():
        listed = event.instrument
        yield (
            listed.symbol,
            shard,
            listed.base,
            listed.quote,
            listed.tick_size,
            listed.lot_size,
            listed.status.value,
            encode(listed),
            event.engine_seq,
        )


def _order_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for order in changes.orders.values():
        terms = order.terms
        yield (
            terms.account_id,
            order.order_id,
            terms.client_order_id,
            terms.symbol,
            terms.side.value,
            terms.label,
            order.status.value,
            order.version,
            order.price,
            order.quantity,
            order.filled_quantity,
            order.notional,
            order.fees,
            None if order.reason is None else order.reason.value,
            order.created_ns,
            order.updated_ns,
            order.engine_seq,
            order.display_quantity,
            order.trigger_price,
            order.order_list_id,
            encode(terms),
        )


def _fill_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for event, at_ns in changes.fills:
        fill, order, terms = event.fill, event.order, event.order.terms
        yield (
            terms.account_id,
            fill.account_seq,
            order.order_id,
            terms.client_order_id,
            terms.symbol,
            terms.side.value,
            fill.trade_id,
            fill.price,
            fill.quantity,
            fill.fee,
            fill.liquidity.value,
            order.engine_seq,
            at_ns,
        )


def _trade_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for trade, at_ns in changes.trades:
        yield (
            trade.symbol,
            trade.trade_id,
            trade.price,
            trade.quantity,
            trade.taker_side.value,
            trade.maker_order_id,
            trade.taker_order_id,
            trade.maker_account_id,
            trade.taker_account_id,
            trade.engine_seq,
            at_ns,
        )


def _balance_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for (account_id, asset), event in changes.balances.items():
        yield account_id, asset, event.available, event.held, event.account_seq, event.engine_seq


def _event_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for account_id, event, encoded, at_ns in changes.events:
        yield account_id, event.account_seq, event.engine_seq, at_ns, encoded
