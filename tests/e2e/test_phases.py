"""The phases of an instrument as clients see them: a call auction from its announcement to its uncross."""

from typing import Any

import pytest

from app.dev.client import RequestRefused, RestClient, StreamSession
from tests.exchange import Exchange
from tests.listed_market import limit, market


async def test_a_call_auction_is_announced_indicated_and_uncrossed_in_the_ticker(exchange: Exchange) -> None:
    async with (
        market(exchange) as symbol,
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        await StreamSession.connect(exchange.ws[1]) as stream,
    ):

        async def ticker(**expected: Any) -> dict[str, Any]:
            while True:
                frame = await stream.next_frame("ticker")
                if {name: frame[name] for name in expected} == expected:
                    return frame

        await stream.subscribe(f"ticker:{symbol}")
        await ticker(status="open", bid="100", ask="110", mark_price="105")
        await admin.call("PATCH", f"/v1/admin/instruments/{symbol}", {"status": "auction"})
        await ticker(status="auction", bid=None, ask=None, indicative_price=None, indicative_quantity="0")
        with pytest.raises(RequestRefused) as refused:
            await alice.call("POST", "/v1/orders", {"symbol": symbol, "side": "buy", "type": "market", "quantity": "1"})
        assert refused.value.code == "instrument_not_open"
        await alice.call("POST", "/v1/orders", limit(symbol, "buy", "112", "7"))
        seen = await ticker(indicative_quantity="5")
        assert (seen["indicative_price"], seen["indicative_surplus"]) == ("110", "2")
        shown = await alice.call("GET", f"/v1/ticker/{symbol}")
        assert (shown["status"], shown["indicative_price"]) == ("auction", "110")
        await admin.call("PATCH", f"/v1/admin/instruments/{symbol}", {"status": "open"})
        seen = await ticker(status="open", last="110", bid="112", bid_quantity="2")
        assert seen["indicative_quantity"] is None
        await alice.call("DELETE", f"/v1/orders?symbol={symbol}")
