"""The bulk statements of the core projection for states: one upsert per table, columns as arrays.

The ledger's entries are facts, but their running balance is made by the server from the balances before
them, so they are a statement too, and come before the balances.
"""

from collections.abc import Iterator, Sequence

import msgspec

from app.domain.enums import AccountStatus
from app.projections.changes import Changes
from app.protocol.records import encode

Statement = tuple[str, Sequence[Sequence[object]]]
"""SQL, and its parameters: one array per column."""

_LIMITS_OF_EXCHANGE = ""
_json = msgspec.json.Encoder().encode

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
# Amounts travel as text: they may pass 64 bits.
_BALANCES = """
INSERT INTO balances (account_id, asset, available, held, account_seq, engine_seq)
SELECT account_id, asset, available::numeric, held::numeric, account_seq, engine_seq
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    AS changed (account_id, asset, available, held, account_seq, engine_seq)
ON CONFLICT (account_id, asset) DO UPDATE SET available = excluded.available, held = excluded.held,
    account_seq = excluded.account_seq, engine_seq = excluded.engine_seq
"""
_POSITIONS = """
INSERT INTO positions (account_id, symbol, quantity, cost, realized_pnl, fees, account_seq, engine_seq)
SELECT account_id, symbol, quantity::numeric, cost::numeric, realized_pnl::numeric, fees::numeric, account_seq,
    engine_seq
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
    AS changed (account_id, symbol, quantity, cost, realized_pnl, fees, account_seq, engine_seq)
ON CONFLICT (account_id, symbol) DO UPDATE SET quantity = excluded.quantity, cost = excluded.cost,
    realized_pnl = excluded.realized_pnl, fees = excluded.fees, account_seq = excluded.account_seq,
    engine_seq = excluded.engine_seq
"""
# The running balance starts from the balances before these rows: they are updated after this statement.
_LEDGER = """
INSERT INTO ledger_entries (shard, entry_id, account_id, asset, amount, balance, cause, ref, engine_seq, timestamp_ns)
SELECT entry.shard, before.entry_id + entry.place, entry.account_id, entry.asset, entry.amount,
    coalesce(balances.available + balances.held, 0)
        + sum(entry.amount) OVER (PARTITION BY entry.account_id, entry.asset ORDER BY entry.place),
    entry.cause, entry.ref, entry.engine_seq, entry.timestamp_ns
FROM (
    SELECT shard, account_id, asset, amount::numeric, cause, ref, engine_seq, timestamp_ns, place
    FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::bigint[]) WITH ORDINALITY
        AS given (shard, account_id, asset, amount, cause, ref, engine_seq, timestamp_ns, place)
) AS entry
CROSS JOIN (
    SELECT coalesce(max(entry_id), 0) AS entry_id FROM ledger_entries WHERE shard = ($1::smallint[])[1]
) AS before
LEFT JOIN balances USING (account_id, asset)
"""
_LIMITS = """
INSERT INTO limits (shard, tier, limits, engine_seq)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::jsonb[], $4::bigint[])
ON CONFLICT (shard, tier) DO UPDATE SET limits = excluded.limits, engine_seq = excluded.engine_seq
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
_ACCOUNT_SETTINGS = """
UPDATE accounts SET status = changed.status, settings = changed.settings, engine_seq = changed.engine_seq
FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[]) AS changed (account_id, status, settings, engine_seq)
WHERE accounts.account_id = changed.account_id
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
        (_ACCOUNT_SETTINGS, _settings_rows(changes)),
        (_ASSETS, ((event.asset, event.scale, event.engine_seq) for event in changes.assets)),
        (_INSTRUMENTS, _instrument_rows(changes, shard)),
        (_ORDERS, _order_rows(changes)),
        (_LIMITS, _limits_rows(changes, shard)),
        (_LEDGER, _ledger_rows(changes, shard)),
        (_BALANCES, _balance_rows(changes)),
        (_POSITIONS, _position_rows(changes)),
        (_ACCOUNT_SEQS, changes.account_seqs.items()),
    ):
        columns = list(zip(*rows, strict=True))
        if columns:
            yield sql, columns


def _account_rows(changes: Changes, shard: int) -> Iterator[tuple[object, ...]]:
    for event, at_ns in changes.accounts:
        yield event.account_id, shard, event.name, AccountStatus.ACTIVE.value, 0, at_ns, event.engine_seq


def _settings_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
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


def _balance_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for (account_id, asset), event in changes.balances.items():
        yield account_id, asset, event.available, event.held, event.account_seq, event.engine_seq


def _position_rows(changes: Changes) -> Iterator[tuple[object, ...]]:
    for (account_id, symbol), event in changes.positions.items():
        figures = (event.quantity, event.cost, event.realized_pnl, event.fees)
        yield account_id, symbol, *figures, event.account_seq, event.engine_seq


def _ledger_rows(changes: Changes, shard: int) -> Iterator[tuple[object, ...]]:
    for account_id, asset, amount, *rest in changes.entries:
        yield shard, account_id, asset, str(amount), *rest


def _limits_rows(changes: Changes, shard: int) -> Iterator[tuple[object, ...]]:
    for tier, event in changes.limits.items():
        yield shard, tier or _LIMITS_OF_EXCHANGE, _json(event.limits).decode(), event.engine_seq
