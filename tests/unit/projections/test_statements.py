"""Bulk statements: one per table that changes, one array per column, in an order that the tables allow."""

import re

from app.projections.changes import changes_of
from app.projections.statements import statements_of
from tests.journal_rows import chain
from tests.market_stream import MarketStream


def test_tables_without_changes_get_no_statement() -> None:
    assert list(statements_of(changes_of([], {}), 0)) == []


def test_every_parameter_of_a_statement_is_a_column_of_equal_length() -> None:
    stream = MarketStream(seed=1)
    changes = changes_of(chain([stream.genesis(), *(stream.batch(5) for _ in range(20))]), {})

    statements = list(statements_of(changes, 0))

    assert len(statements) == 8
    for sql, columns in statements:
        assert len(columns) == len(set(re.findall(r"\$\d+", sql)))
        assert len({len(column) for column in columns}) == 1
