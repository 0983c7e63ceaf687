"""The snapshot: depth, entity tags, unknown symbols."""

import pytest

from tests.unit.api.stack import Stack, problem


async def test_full_book_is_the_default(stack: Stack) -> None:
    response = await stack.client.get("/v1/orderbook/BTC-USD")
    assert response.status_code == 200
    book = response.json()
    assert book["bids"] == [["100", "1"], ["99", "2"], ["98", "3"]]
    assert (book["epoch"], book["seq"], book["engine_seq"], book["as_of_seq"]) == (1, 5, 90, 90)
    assert response.headers["etag"] == '"1-5-full"'


@pytest.mark.parametrize(("depth", "levels"), [("1", 1), ("2", 2), ("5000", 3), ("full", 3)])
async def test_depth_cuts_each_side(stack: Stack, depth: str, levels: int) -> None:
    response = await stack.client.get(f"/v1/orderbook/BTC-USD?depth={depth}")
    assert len(response.json()["bids"]) == levels
    assert response.headers["etag"] == f'"1-5-{depth}"'


@pytest.mark.parametrize("known", ['"1-5-full"', 'W/"1-5-full"', '"x", "1-5-full"', "*"])
async def test_known_book_is_304_without_a_body(stack: Stack, known: str) -> None:
    response = await stack.client.get("/v1/orderbook/BTC-USD", headers={"If-None-Match": known})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1-5-full"'


@pytest.mark.parametrize("known", ['"1-4-full"', '"1-5-1"', "1-5-full", "", '"', '"11-5-full"'])
async def test_other_book_is_sent_whole(stack: Stack, known: str) -> None:
    response = await stack.client.get("/v1/orderbook/BTC-USD", headers={"If-None-Match": known})
    assert response.status_code == 200


async def test_changed_book_gets_another_tag(stack: Stack) -> None:
    first = await stack.client.get("/v1/orderbook/BTC-USD")
    stack.market.book_seq += 1
    again = await stack.client.get("/v1/orderbook/BTC-USD", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 200
    assert again.headers["etag"] == '"1-6-full"'


async def test_unlisted_instrument_is_404(stack: Stack) -> None:
    refused = problem(await stack.client.get("/v1/orderbook/NOPE"))
    assert (refused.status, refused.code) == (404, "unknown_symbol")
