"""Instruments as the contract shows them."""

from app.domain.enums import OrderType
from tests.unit.api.stack import Stack, problem


async def test_instrument_has_every_filter_and_fee(stack: Stack) -> None:
    shape = (await stack.client.get("/v1/instruments/BTC-USD")).json()
    assert (shape["symbol"], shape["tick_size"], shape["lot_size"]) == ("BTC-USD", "0.01", "0.00000001")
    assert (shape["min_quantity"], shape["max_notional"], shape["shard"]) == (None, None, 0)
    assert shape["order_types"] == [kind.value for kind in OrderType]


async def test_list_holds_all_instruments_in_the_envelope(stack: Stack) -> None:
    page = (await stack.client.get("/v1/instruments")).json()
    assert [shape["symbol"] for shape in page["data"]] == ["BTC-USD"]
    assert page["next_cursor"] is None


async def test_shard_is_the_replicas(stack: Stack) -> None:
    async with stack.with_services(shard=3) as client:
        assert (await client.get("/v1/instruments/BTC-USD")).json()["shard"] == 3


async def test_unlisted_instrument_is_404(stack: Stack) -> None:
    refused = problem(await stack.client.get("/v1/instruments/NOPE"))
    assert (refused.status, refused.code) == (404, "unknown_symbol")
