"""The documentation page needs nothing from outside."""

import re

from tests.unit.api.stack import Stack


async def test_page_loads_nothing_from_elsewhere(stack: Stack) -> None:
    response = await stack.client.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"https?://|//cdn|<link|src=", response.text)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_problem_types_lead_to_the_page(stack: Stack) -> None:
    kind = (await stack.client.get("/nothing")).json()["type"]
    path, _, code = kind.partition("#")
    assert (await stack.client.get(path)).status_code == 200
    assert code in (await stack.client.get("/openapi.json")).json()["x-codes"]
