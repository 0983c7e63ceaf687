"""The document is made from the routes and promises nothing else."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from app.api.dependencies import RequireScope, authenticated
from app.api.openapi import dependencies_of, document
from app.api.query import QueryOf
from tests.unit.api.stack import Stack

PUBLIC = re.compile(r"/v1/(time|status|instruments|orderbook|ticker|trades|auth)(/|$)")


@pytest.fixture
def described(stack: Stack) -> dict[str, Any]:
    return document(stack.app)


def routes(stack: Stack) -> list[APIRoute]:
    found = [context.original_route for context in iter_route_contexts(stack.app.routes)]
    return [route for route in found if isinstance(route, APIRoute) and route.path.startswith("/v1")]


def operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in described["paths"].values() for operation in path.values()]


def test_version_and_every_route_are_there(stack: Stack, described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    for route in routes(stack):
        for method in route.methods or ():
            assert method.lower() in described["paths"][route.path], route.path


def test_operation_ids_are_unique(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(described)]
    assert sorted(names) == sorted(set(names))


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    text = repr(described)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in described["components"]["schemas"]


def test_every_operation_declares_refusals_as_problems(described: dict[str, Any]) -> None:
    for operation in operations(described):
        refusals = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "422", "500", "503"} <= refusals, operation["operationId"]
        for status in refusals - {"503"}:
            assert "application/problem+json" in operation["responses"][status]["content"]


def test_every_operation_describes_its_answer(described: dict[str, Any]) -> None:
    for operation in operations(described):
        for status, response in operation["responses"].items():
            if status < "300":
                assert response["content"]["application/json"]["schema"], operation["operationId"]


def test_every_route_is_public_by_name_or_needs_a_scope(stack: Stack) -> None:
    # Keys are the exception: any credentials may make a key that can do no more than they can.
    for route in routes(stack):
        calls = list(dependencies_of(route))
        is_guarded = any(isinstance(call, RequireScope) for call in calls)
        is_own_keys = route.path.startswith("/v1/api-keys") and authenticated in calls
        assert is_guarded or is_own_keys or PUBLIC.match(route.path), route.path
        assert not route.path.startswith("/v1/admin") or any(
            isinstance(call, RequireScope) and call.scope == "admin" for call in calls
        )


def test_every_route_says_which_query_parameters_it_takes(stack: Stack) -> None:
    for route in routes(stack):
        assert sum(isinstance(call, QueryOf) for call in dependencies_of(route)) == 1, route.path


def test_no_dependency_has_dependencies_of_its_own(stack: Stack) -> None:
    for route in routes(stack):
        for dependency in route.dependant.dependencies:
            assert not dependency.dependencies, f"{route.path}: {dependency.name}"


def test_no_route_lets_pydantic_see_a_body(stack: Stack) -> None:
    for route in routes(stack):
        assert route.body_field is None
        assert route.response_model is None


def test_security_follows_the_dependencies(described: dict[str, Any]) -> None:
    place = described["paths"]["/v1/orders"]["post"]
    assert place["x-scope"] == "trade"
    assert place["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert "security" not in described["paths"]["/v1/time"]["get"]


def test_body_parameters_and_answers_are_the_wires_structs(described: dict[str, Any]) -> None:
    place = described["paths"]["/v1/orders"]["post"]
    assert place["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/PlaceOrderRequest")
    assert set(place["responses"]) >= {"200", "201", "401", "403", "413", "415", "504"}
    listed = described["paths"]["/v1/orders"]["get"]
    names = [parameter["name"] for parameter in listed["parameters"]]
    assert names == ["min_seq", "limit", "cursor", "symbol", "status", "side", "since", "until", "label"]
    limit = next(parameter for parameter in listed["parameters"] if parameter["name"] == "limit")
    assert limit["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "default": 100,
        "description": "Most items of the answer.",
    }
    ticker = described["paths"]["/v1/ticker/{symbol}"]["get"]
    assert ticker["parameters"][0]["in"] == "path"
    assert "as_of_seq" in repr(ticker["responses"]["200"])


def test_patterns_are_those_of_json_schema(described: dict[str, Any]) -> None:
    assert "\\Z" not in repr(described)


async def test_document_is_served_and_the_same_each_time(stack: Stack, described: dict[str, Any]) -> None:
    first, second = [await stack.client.get("/openapi.json") for _ in range(2)]
    assert first.json() == described
    assert first.content == second.content
