"""Probes: alive without touching anything, ready with reasons, metrics in one plain route."""

from typing import Never

from tests.unit.api.stack import Stack


class Untouchable:
    """Fails on any use."""

    def __getattr__(self, name: str) -> Never:
        raise AssertionError(f"healthz touched {name}")


async def test_health_touches_nothing(stack: Stack) -> None:
    untouchable = Untouchable()
    async with stack.with_services(
        database=untouchable, market_data=untouchable, order_entry=untouchable, readiness=untouchable
    ) as client:
        response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


async def test_ready_replica_says_so(stack: Stack) -> None:
    response = await stack.client.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (200, True)


async def test_replica_that_is_not_ready_gives_reasons(stack: Stack) -> None:
    stack.ready = False
    stack.reasons["redis"] = "no answer"
    response = await stack.client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"ready": False, "reasons": {"database": "ok", "engine": "ok", "redis": "no answer"}}


async def test_metrics_are_one_plain_route(stack: Stack) -> None:
    response = await stack.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert b"orderwire_orders_total" in response.content
