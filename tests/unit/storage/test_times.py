"""Milliseconds and timestamps convert exactly, in both directions."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage.times import to_ms, to_timestamp


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_every_millisecond_survives_the_round_trip(at_ms: int) -> None:
    assert to_ms(to_timestamp(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("at", "at_ms"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 11, 20, 12, 0, 0, 123_999, tzinfo=UTC), 1_795_176_000_123),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
    ],
)
def test_a_timestamp_is_its_unix_milliseconds_rounded_down(at: datetime, at_ms: int) -> None:
    assert to_ms(at) == at_ms
