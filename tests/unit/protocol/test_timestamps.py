"""Times come in with a zone and exact to the microsecond, or not at all."""

import pytest

from app.errors import ApiError
from app.protocol.shapes import timestamp_text
from app.protocol.timestamps import timestamp_ns


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-20T10:00:00.000001Z", 1795168800000001000),
        ("2026-11-20T12:00:00.000001+02:00", 1795168800000001000),
        ("2026-11-20t10:00:00z", 1795168800000000000),
    ],
)
def test_time_with_zone_is_exact(text: str, nanoseconds: int) -> None:
    assert timestamp_ns(text, field="since") == nanoseconds


def test_text_and_nanoseconds_are_each_others_inverse() -> None:
    for nanoseconds in (0, 1_795_168_800_123_456_000, 7_258_118_399_999_999_000):
        assert timestamp_ns(timestamp_text(nanoseconds), field="x") == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "0",
        "1795168800",
        "2026-11-20",
        "2026-11-20T10:00:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-11-20T10:00:00 02:00",
        "\u0662026-11-20T10:00:00Z",
    ],
)
def test_anything_else_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        timestamp_ns(text, field="since")
    assert (caught.value.code, caught.value.field) == ("invalid_request", "since")
