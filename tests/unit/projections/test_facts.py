"""New rows by table: as many values as columns, and nothing for tables without any."""

from app.projections.changes import changes_of
from app.projections.facts import facts_of
from tests.journal_rows import chain
from tests.market_stream import MarketStream


def test_tables_without_new_rows_are_left_out() -> None:
    assert list(facts_of(changes_of([], {}), 0)) == []


def test_every_row_has_a_value_for_every_column() -> None:
    stream = MarketStream(seed=1)
    changes = changes_of(chain([stream.genesis(), *(stream.batch(5) for _ in range(20))]), {})

    found = {facts.table: facts for facts in facts_of(changes, 0)}

    assert {"account_events", "fills", "trades", "audit"} <= found.keys()
    for facts in found.values():
        assert {len(row) for row in facts.rows} == {len(facts.columns)}, facts.table
    assert len(found["account_events"].rows) == sum(map(len, stream.events.values()))
