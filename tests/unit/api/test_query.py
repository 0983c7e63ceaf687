"""Query strings become exactly what a struct promises."""

from typing import Annotated

import pytest
from msgspec import Meta
from starlette.requests import Request

from app.api.query import ListQuery, Query, QueryOf
from app.domain.enums import Side
from app.errors import ApiError


class Sample(Query, frozen=True, kw_only=True):
    """One of each kind."""

    count: int = 7
    bounded: Annotated[int, Meta(ge=1)] | None = None
    text: str = ""
    side: Side | None = None


async def decoded(query: str) -> Sample:
    return await QueryOf(Sample)(Request({"type": "http", "query_string": query.encode(), "headers": []}))


async def test_values_arrive_as_their_types() -> None:
    assert await decoded("count=0&bounded=9223372036854775807&text=7&side=buy") == Sample(
        count=0, bounded=2**63 - 1, text="7", side=Side.BUY
    )


async def test_defaults_hold_without_a_query() -> None:
    assert await decoded("") == Sample()
    assert ListQuery().limit == 100


async def test_percent_encoding_is_undone_once() -> None:
    assert (await decoded("text=%2541%20b")).text == "%41 b"


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("count=", 400, "count"),
        ("count=x", 400, "count"),
        ("bounded=0", 400, "bounded"),
        ("side=up", 400, "side"),
        ("other=1", 422, "other"),
        ("count=1&count=1", 422, "count"),
        ("%00=1", 422, None),
    ],
)
async def test_refusal_names_the_parameter(query: str, status: int, field: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        await decoded(query)
    assert (caught.value.code, caught.value.status or 400, caught.value.field) == ("invalid_request", status, field)
