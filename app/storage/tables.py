"""All tables, once: migrations are compared with this metadata, and queries are built from it.

`shard_head` and `journal` are the authority (ARCHITECTURE.md, "The journal and leadership"); `users`,
`refresh_tokens` and `api_keys` belong to the edge; everything else is a projection of the
journal and can be rebuilt from it. Prices are ticks, quantities lots, amounts units of an asset,
times UTC nanoseconds where a sequence gave them and `*_at` with zone where people did.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.domain.enums import OrderStatus

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

OPEN_STATUSES = (OrderStatus.UNTRIGGERED, OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
"""Statuses that an order can still leave; the open-orders index covers exactly these."""

metadata = MetaData(naming_convention=NAMING_CONVENTION)


AMOUNT = Numeric(38, 0)
"""Sums of one asset may pass 64 bits (ENGINE.md, "Numbers")."""

shard_head = Table(
    "shard_head",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("term", BigInteger, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("build", Text, nullable=False),
    # Every append updates this one row: room on its page keeps the updates heap-only.
    postgresql_with={"fillfactor": "10"},
)

journal = Table(
    "journal",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("engine_version", Integer, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # The partitions are tables of the schema journal_parts, made by the function extend_journal.
    postgresql_partition_by="RANGE (shard, last_seq)",
)

journal_partitions = Table(
    "journal_partitions",
    metadata,
    # A partition holds the rows whose last_seq is from_seq or more and below to_seq.
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("from_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("to_seq", BigInteger, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("row_hash", LargeBinary, nullable=False),
    Column("engine_version", Integer, nullable=False),
    Column("state_hash", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

projection_cursors = Table(
    "projection_cursors",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("projection", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    # Hash of the last applied row: the projector continues the chain, or finds that it was replaced.
    Column("row_hash", LargeBinary, nullable=False),
    postgresql_with={"fillfactor": "10"},
)

orders = Table(
    "orders",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("client_order_id", Text),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("label", Text),
    Column("status", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("filled_quantity", BigInteger, nullable=False),
    Column("notional", BigInteger, nullable=False),
    Column("fees", BigInteger, nullable=False),
    Column("reason", Text),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("display_quantity", BigInteger),
    Column("trigger_price", BigInteger),
    Column("order_list_id", BigInteger),
    # The order's PlaceOrder as msgpack: what never changes is kept whole, not column by column.
    Column("terms", LargeBinary, nullable=False),
)
# Not unique: the engine decides what a repeated id means, and a projection must never refuse a fact.
Index(None, orders.c.account_id, orders.c.client_order_id, postgresql_where=orders.c.client_order_id.is_not(None))
Index(None, orders.c.account_id, orders.c.order_list_id, postgresql_where=orders.c.order_list_id.is_not(None))
IS_OPEN = orders.c.status.in_([literal_column(f"'{status}'") for status in OPEN_STATUSES])
Index("ix_orders_open", orders.c.account_id, orders.c.order_id, postgresql_where=IS_OPEN)

fills = Table(
    "fills",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("account_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", BigInteger, nullable=False),
    Column("client_order_id", Text),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("liquidity", Text, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Index(None, "account_id", "order_id"),
)

trades = Table(
    "trades",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("trade_id", BigInteger, primary_key=True, autoincrement=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("taker_side", Text, nullable=False),
    Column("maker_order_id", BigInteger, nullable=False),
    Column("taker_order_id", BigInteger, nullable=False),
    Column("maker_account_id", BigInteger, nullable=False),
    Column("taker_account_id", BigInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Index(None, "symbol", "timestamp_ns"),
)

balances = Table(
    "balances",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("asset", Text, primary_key=True),
    Column("available", AMOUNT, nullable=False),
    Column("held", AMOUNT, nullable=False),
    Column("account_seq", BigInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
)

positions = Table(
    "positions",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("symbol", Text, primary_key=True),
    Column("quantity", AMOUNT, nullable=False),
    Column("cost", AMOUNT, nullable=False),
    Column("realized_pnl", AMOUNT, nullable=False),
    Column("fees", AMOUNT, nullable=False),
    Column("account_seq", BigInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    # Counts the shard's entries in the order of the journal, without gaps.
    Column("entry_id", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("balance", AMOUNT, nullable=False),
    Column("cause", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Index(None, "account_id", "entry_id"),
)

transfers = Table(
    "transfers",
    metadata,
    # One side of a transfer: of one between two accounts each has its row.
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("engine_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("transfer_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("counterparty_id", BigInteger),
    Column("timestamp_ns", BigInteger, nullable=False),
    Index(None, "account_id", "transfer_id"),
)

limits = Table(
    "limits",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    # The empty name is the exchange's own level.
    Column("tier", Text, primary_key=True),
    Column("limits", JSONB, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("engine_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("account_id", BigInteger),
    Column("changed", Boolean, nullable=False),
    Column("details", JSONB, nullable=False),
    Index(None, "account_id", "engine_seq"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("shard", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    # Last private sequence that was projected: where a stream continues after a snapshot.
    Column("account_seq", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
    # The newest AccountUpdated as msgpack: tier, limits, group, restrictions; none if there was none.
    Column("settings", LargeBinary),
    UniqueConstraint("shard", "name"),
)

assets = Table(
    "assets",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("scale", SmallInteger, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
)

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("tick_size", Text, nullable=False),
    Column("lot_size", Text, nullable=False),
    Column("status", Text, nullable=False),
    # The whole domain.instrument.Instrument as msgpack; the columns before are for people who query.
    Column("definition", LargeBinary, nullable=False),
    Column("engine_seq", BigInteger, nullable=False),
)

account_events = Table(
    "account_events",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("account_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("engine_seq", BigInteger, nullable=False),
    Column("timestamp_ns", BigInteger, nullable=False),
    Column("event", LargeBinary, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("user_id", BigInteger, Identity(always=True), primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("family_id", Uuid, nullable=False, index=True),
    Column("user_id", BigInteger, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("secret_encrypted", LargeBinary),
    Column("public_key", LargeBinary),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("symbols", ARRAY(Text)),
    Column("ip_allow", ARRAY(Text)),
    Column("expires_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True)),
)
