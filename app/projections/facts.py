"""The facts of the core projection: rows that are added once, by COPY, and never change.

No conflict is resolved, so that a fact projected twice is an error and not a silent no-op.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from app.projections.changes import Changes

Row = tuple[object, ...]


class Facts(NamedTuple):
    """New rows of one table."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


_EVENTS = ("account_id", "account_seq", "engine_seq", "timestamp_ns", "event")
_FILLS = (
    "account_id",
    "account_seq",
    "order_id",
    "client_order_id",
    "symbol",
    "side",
    "trade_id",
    "price",
    "quantity",
    "fee",
    "liquidity",
    "engine_seq",
    "timestamp_ns",
)
_TRADES = (
    "symbol",
    "trade_id",
    "price",
    "quantity",
    "taker_side",
    "maker_order_id",
    "taker_order_id",
    "maker_account_id",
    "taker_account_id",
    "engine_seq",
    "timestamp_ns",
)
_TRANSFERS = ("account_id", "engine_seq", "transfer_id", "asset", "amount", "counterparty_id", "timestamp_ns")
_EPOCHS = ("shard", "epoch", "engine_seq", "timestamp_ns")
_AUDIT = ("shard", "engine_seq", "timestamp_ns", "action", "account_id", "changed", "details")


def facts_of(changes: Changes, shard: int) -> Iterator[Facts]:
    """Yield the new rows, table by table; tables without any are left out."""
    for table, columns, rows in (
        ("account_events", _EVENTS, _event_rows(changes)),
        ("fills", _FILLS, _fill_rows(changes)),
        ("trades", _TRADES, _trade_rows(changes)),
        ("transfers", _TRANSFERS, _transfer_rows(changes)),
        ("epochs", _EPOCHS, ((shard, event.epoch, event.engine_seq, at_ns) for event, at_ns in changes.epochs)),
        ("audit", _AUDIT, ((shard, *act) for act in changes.acts)),
    ):
        listed = list(rows)
        if listed:
            yield Facts(table, columns, listed)


def _event_rows(changes: Changes) -> Iterator[Row]:
    for account_id, event, encoded, at_ns in changes.events:
        yield account_id, event.account_seq, event.engine_seq, at_ns, encoded


def _fill_rows(changes: Changes) -> Iterator[Row]:
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


def _trade_rows(changes: Changes) -> Iterator[Row]:
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


def _transfer_rows(changes: Changes) -> Iterator[Row]:
    for event, at_ns in changes.transfers:
        amount = Decimal(event.amount)
        yield (
            event.account_id,
            event.engine_seq,
            event.transfer_id,
            event.asset,
            amount,
            event.counterparty_id,
            at_ns,
        )
