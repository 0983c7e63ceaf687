"""An instrument of a test's own on a running exchange, with a last price and a small book."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.dev.client import RestClient
from tests.exchange import Exchange

_symbols = itertools.count(1)


@asynccontextmanager
async def market(exchange: Exchange, **changes: Any) -> AsyncIterator[str]:
    """List an instrument of the test's own with last price 105, bid 100 and ask 110 of bob's; yields its symbol."""
    symbol = f"T{next(_symbols)}-USD"
    instrument = {"symbol": symbol, "base": "BTC", "quote": "USD", "tick_size": "0.01", "lot_size": "0.001"}
    async with (
        RestClient(exchange.rest[0], exchange.accounts["admin"]) as admin,
        RestClient(exchange.rest[0], exchange.accounts["alice"]) as alice,
        RestClient(exchange.rest[0], exchange.accounts["bob"]) as bob,
    ):
        await admin.call("POST", "/v1/admin/instruments", instrument | changes)
        await listed(exchange, symbol)
        await bob.call("POST", "/v1/orders", limit(symbol, "sell", "105", "1"))
        await alice.call("POST", "/v1/orders", limit(symbol, "buy", "105", "1"))
        await bob.call("POST", "/v1/orders", limit(symbol, "buy", "100", "5"))
        await bob.call("POST", "/v1/orders", limit(symbol, "sell", "110", "5"))
        yield symbol


async def listed(exchange: Exchange, symbol: str) -> None:
    """Wait until every replica knows the instrument."""
    for url in exchange.rest:
        async with RestClient(url) as rest, asyncio.timeout(10):
            while (await rest.send("GET", f"/v1/instruments/{symbol}")).status_code != 200:  # noqa: ASYNC110  # polls another process
                await asyncio.sleep(0.01)


def limit(symbol: str, side: str, price: str, quantity: str) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "type": "limit", "price": price, "quantity": quantity}
