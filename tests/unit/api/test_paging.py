"""Cursors are opaque, belong to one list, and lead through it without gaps."""

import msgspec
import pytest
from starlette.requests import Request

from app.api.paging import cut, decode_cursor, encode_cursor, page_answer
from app.errors import ApiError


def request(path: str = "/v1/orders", query: str = "") -> Request:
    return Request({"type": "http", "path": path, "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize("position", [1, 10, 2**63 - 1])
def test_cursor_gives_its_position_back(position: int) -> None:
    assert decode_cursor("orders", encode_cursor("orders", position)) == position


@pytest.mark.parametrize(
    "text", ["x", "b3JkZXJzOjA", "b3JkZXJzOjAx", "====", "b3JkZXJz", "\u00e9", encode_cursor("fills", 7)]
)
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_cursor("orders", text)
    assert caught.value.field == "cursor"


def test_no_cursor_is_the_first_page() -> None:
    assert decode_cursor("orders", None) is None


def test_page_ends_where_the_query_had_one_row_more() -> None:
    assert cut([5, 4, 3], 2, lambda row: row) == ([5, 4], 4)
    assert cut([5, 4], 2, lambda row: row) == ([5, 4], None)
    assert cut([], 2, int) == ([], None)


def test_next_page_is_in_the_body_and_in_the_link_with_the_filters_kept() -> None:
    answer = page_answer(
        request(query="symbol=BTC-USD&cursor=old&label=a%26b"), [1], kind="orders", next_position=4, as_of_seq=9
    )
    cursor = encode_cursor("orders", 4)
    assert msgspec.json.decode(answer.body) == {"data": [1], "next_cursor": cursor, "as_of_seq": 9}
    assert answer.headers["link"] == f'</v1/orders?symbol=BTC-USD&label=a%26b&cursor={cursor}>; rel="next"'


def test_last_page_has_no_link() -> None:
    answer = page_answer(request(), [], kind="orders", next_position=None, as_of_seq=9)
    assert msgspec.json.decode(answer.body) == {"data": [], "next_cursor": None, "as_of_seq": 9}
    assert "link" not in answer.headers
