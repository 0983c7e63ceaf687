"""Cancel on disconnect over real sockets: the engine cancels what the lost socket placed, and nothing else."""

import asyncio

from app.dev.client import RestClient, StreamSession
from tests.exchange import Exchange
from tests.listed_market import limit, market


async def test_orders_of_a_lost_socket_are_canceled_and_others_stay(exchange: Exchange) -> None:
    alice = exchange.accounts["alice"]
    async with market(exchange) as symbol, RestClient(exchange.rest[0], alice) as rest:
        stays = await rest.call("POST", "/v1/orders", limit(symbol, "buy", "90", "1"))
        stream = await StreamSession.connect(exchange.ws[1], alice)
        await stream.request("session", cancel_on_disconnect="session", grace_ms=100)
        placed = (await stream.request("order.place", order=limit(symbol, "buy", "91", "1")))["order"]
        await stream.close()
        async with asyncio.timeout(10):
            while (seen := await rest.call("GET", f"/v1/orders/{placed['order_id']}"))["status"] == "open":  # noqa: ASYNC110  # polls another process
                await asyncio.sleep(0.02)
        assert (seen["status"], seen["reason"]) == ("canceled", "disconnect")
        assert (await rest.call("GET", f"/v1/orders/{stays['order_id']}"))["status"] == "open"
        await rest.call("DELETE", f"/v1/orders/{stays['order_id']}")
