"""Probes: alive without touching anything, ready with reasons, metrics in one plain route."""

from typing import Never

from app.protocol.modes import Finding, Mode, Part, status_of
from tests.unit.api.stack import Stack


class Untouchable:
    """Fails on any use."""

    def __getattr__(self, name: str) -> Never:
        raise AssertionError(f"healthz touched {name}")


async def test_health_touches_nothing(stack: Stack) -> None:
    untouchable = Untouchable()
    async with stack.with_services(
        database=untouchable, market_data=untouchable, order_entry=untouchable, status=untouchable
    ) as client:
        response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


async def test_ready_replica_says_so(stack: Stack) -> None:
    response = await stack.client.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (200, True)


async def test_replica_that_is_not_ready_gives_reasons(stack: Stack) -> None:
    stack.status = status_of([Finding(Part.ENGINE, Mode.READ_ONLY, "no engine is leading")], ready=False)
    response = await stack.client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "mode": "read_only",
        "reasons": {part: "no engine is leading" if part is Part.ENGINE else "ok" for part in Part},
    }


async def test_degraded_replica_stays_ready(stack: Stack) -> None:
    stack.status = status_of([Finding(Part.STANDBY, Mode.DEGRADED, "no standby")])
    response = await stack.client.get("/readyz")
    assert (response.status_code, response.json()["mode"]) == (200, "degraded")


async def test_metrics_are_one_plain_route(stack: Stack) -> None:
    response = await stack.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert b"orderwire_orders_total" in response.content
