"""Who may do what: the journal's guard, its partitions, and the grants of the roles.

Revision: 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""

EXTEND_JOURNAL = """
CREATE FUNCTION extend_journal(of_shard smallint, width bigint, ahead integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    head bigint;
    edge bigint;
    part text;
BEGIN
    IF (width >= 256 AND ahead BETWEEN 1 AND 8) IS NOT TRUE THEN
        RAISE EXCEPTION 'expected partitions of 256 sequences or more and 1 to 8 ahead, was % and %', width, ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT head_seq INTO STRICT head FROM shard_head WHERE shard = of_shard;
    SELECT coalesce(max(to_seq), 0) INTO edge FROM journal_partitions WHERE shard = of_shard;
    IF edge > head + ahead * width THEN
        RETURN edge;
    END IF;
    -- One maker at a time: whoever waited here looks again.
    LOCK TABLE journal_partitions IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(to_seq), 0) INTO edge FROM journal_partitions WHERE shard = of_shard;
    WHILE edge <= head + ahead * width LOOP
        part := format('journal_%s_%s', of_shard, edge);
        EXECUTE format('CREATE TABLE journal_parts.%I (LIKE journal)', part);
        EXECUTE format('ALTER TABLE journal_parts.%I ALTER COLUMN body SET STORAGE EXTERNAL, '
            'ADD CONSTRAINT %I PRIMARY KEY (shard, last_seq)', part, 'pk_' || part);
        EXECUTE format('CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_parts.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part);
        -- Attached, not created in place: appends and readers go on meanwhile.
        EXECUTE format('ALTER TABLE journal ATTACH PARTITION journal_parts.%I FOR VALUES FROM (%s, %s) TO (%s, %s)',
            part, of_shard, edge, of_shard, edge + width);
        INSERT INTO journal_partitions (shard, from_seq, to_seq) VALUES (of_shard, edge, edge + width);
        edge := edge + width;
    END LOOP;
    RETURN edge;
END
$$
"""
"""Lets an engine make room for its journal without the right to make tables; bounded by the shard's own head."""

PROJECTED_FACTS = ("account_events", "audit", "epochs", "fills", "ledger_entries", "trades", "transfers")
"""Projected once and never changed: the projector may not even repeat itself."""
PROJECTED_STATES = (
    "accounts",
    "assets",
    "balances",
    "instruments",
    "limits",
    "orders",
    "positions",
    "projection_cursors",
)
EVERYBODY = ("orderwire_engine", "orderwire_projector", "orderwire_api")
GRANTS = (
    # The journal can only grow, and only by an engine.
    ("SELECT, INSERT", ("journal",), "orderwire_engine"),
    ("SELECT, INSERT, UPDATE", ("shard_head",), "orderwire_engine"),
    ("SELECT", ("journal_partitions",), "orderwire_engine"),
    ("SELECT", ("journal", "shard_head"), "orderwire_projector"),
    ("SELECT", ("journal", "shard_head"), "orderwire_api"),
    # The worker's follower writes checkpoints too.
    ("SELECT, INSERT, UPDATE, DELETE", ("checkpoints",), "orderwire_engine"),
    ("SELECT, INSERT, UPDATE, DELETE", ("checkpoints",), "orderwire_projector"),
    ("SELECT, INSERT", PROJECTED_FACTS, "orderwire_projector"),
    ("SELECT, INSERT, UPDATE", PROJECTED_STATES, "orderwire_projector"),
    ("SELECT", (*PROJECTED_FACTS, *PROJECTED_STATES), "orderwire_api"),
    # People and keys belong to the edge; nothing there is ever deleted, only revoked.
    ("SELECT, INSERT, UPDATE", ("api_keys", "refresh_tokens", "users"), "orderwire_api"),
    *(("SELECT", ("alembic_version",), role) for role in EVERYBODY),
)


def upgrade() -> None:
    op.execute(APPEND_ONLY)
    op.execute(
        "CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("CREATE SCHEMA journal_parts")
    op.execute(EXTEND_JOURNAL)
    op.execute("REVOKE EXECUTE ON FUNCTION extend_journal FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION extend_journal TO orderwire_engine")
    for privileges, tables, role in GRANTS:
        op.execute(f"GRANT {privileges} ON {', '.join(tables)} TO {role}")


def downgrade() -> None:
    # The schema of the partitions goes with the rows in them.
    op.execute("DROP FUNCTION extend_journal")
    op.execute("DROP TRIGGER journal_append_only ON journal")
    op.execute("DROP SCHEMA journal_parts CASCADE")
    op.execute("DROP FUNCTION refuse_change()")
    for privileges, tables, role in GRANTS:
        op.execute(f"REVOKE {privileges} ON {', '.join(tables)} FROM {role}")
