"""The whole table of malformed requests against real replicas: each refused as promised, none slow, nothing changed."""

import statistics
import time

import httpx2

from app.dev.client import RestClient, Signer
from tests.exchange import Exchange
from tests.malformed_requests import MALFORMED_REQUESTS

CREDENTIALS = {"authorization", "x-api-key"}
SLOWEST_SECONDS_MAX = 0.5
"""Ten times what is promised: this machine may be busy."""
MEDIAN_SECONDS_MAX = 0.05


async def test_every_malformed_request_is_refused_quickly_and_changes_nothing(exchange: Exchange) -> None:
    admin = exchange.accounts["admin"]
    signer = Signer(admin)
    wrong: list[str] = []
    seconds: list[tuple[float, str]] = []
    async with RestClient(exchange.rest[0], admin) as rest:
        before = await rest.call("GET", "/v1/admin/engine")
    async with httpx2.AsyncClient(base_url=exchange.rest[1], trust_env=False, timeout=30) as http:
        for row in MALFORMED_REQUESTS:
            headers = dict(row.headers)
            request = http.build_request(row.method, row.path, headers=headers, content=row.body or None)
            if not CREDENTIALS & {name.lower() for name in headers}:
                timestamp, signature = signer.sign(row.method, request.url.raw_path.decode(), row.body)
                request.headers["X-API-Key"] = admin.key
                request.headers["X-API-Timestamp"] = timestamp
                request.headers["X-API-Signature"] = signature
            started = time.perf_counter()
            response = await http.send(request)
            seconds.append((time.perf_counter() - started, row.name))
            problem = response.json() if response.headers.get("content-type") == "application/problem+json" else {}
            if (response.status_code, problem.get("code")) != (row.status, row.code):
                expected = f"expected {row.status} {row.code}"
                wrong.append(f"{row.name}: {expected}, was {response.status_code} {problem.get('code')}")
    async with RestClient(exchange.rest[0], admin) as rest:
        after = await rest.call("GET", "/v1/admin/engine")
    assert wrong == []
    assert len(seconds) >= 120
    assert max(seconds) < (SLOWEST_SECONDS_MAX, ""), max(seconds)
    assert statistics.median(spent for spent, _ in seconds) < MEDIAN_SECONDS_MAX
    # Not one of them reached the engine.
    assert after["engine_seq"] == before["engine_seq"]
