"""The OpenAPI 3.1 document, made from what the routes really do.

Bodies, query parameters and scopes are read from each route's dependencies, answers from its
`answer(...)`, and all schemas from the msgspec structs that encode and decode the wire.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from app import __version__
from app.api.body import JsonBody
from app.api.dependencies import RequireScope, authenticated
from app.api.problems import PROBLEM_MEDIA_TYPE
from app.api.query import QueryOf, ReadQuery
from app.protocol.codes import CODES
from app.protocol.schemas import Problem

REF_TEMPLATE = "#/components/schemas/{name}"
_ANSWER = "answer"
_PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "symbol": {"type": "string", "pattern": "^[A-Z0-9.-]{1,20}$", "examples": ["BTC-USD"]},
    "order_id": {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
    "order_list_id": {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
    "account_id": {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
    "client_order_id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,36}$"},
    "key_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_SECURITY_SCHEMES = {
    "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": (
            "Together with X-API-Timestamp (Unix ms), X-API-Signature (hex HMAC-SHA256, or base64 Ed25519, of "
            "timestamp + METHOD + path?query + body) and, if wanted, X-API-Recv-Window (ms)."
        ),
    },
}


@dataclass(frozen=True)
class Answer:
    """What a route answers when it succeeds."""

    schema: Any
    statuses: tuple[int, ...]
    adds: str | None
    """A sequence that the route appends to the schema's members."""
    is_page: bool
    alternative: Any = None
    """What it answers instead when a parameter asks for it."""


class _Schemas(NamedTuple):
    """The structs of the wire: how to refer to each, and what each is."""

    references: dict[Any, dict[str, Any]]
    components: dict[str, dict[str, Any]]


def answer(schema: Any, *statuses: int, adds: str | None = None, alternative: Any = None) -> dict[str, Any]:
    """Return a route's `openapi_extra`: it answers one struct, under these statuses (default 200)."""
    return {_ANSWER: Answer(schema, statuses or (200,), adds, is_page=False, alternative=alternative)}


def page_of(schema: Any) -> dict[str, Any]:
    """Return a route's `openapi_extra`: it answers a list in the `data` envelope."""
    return {_ANSWER: Answer(schema, (200,), None, is_page=True)}


def document(app: FastAPI) -> dict[str, Any]:
    """Return the whole document."""
    routes = [
        (context.path or "", context.original_route)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and context.original_route.include_in_schema
    ]
    structs = {struct for _, route in routes for struct in _structs(route)}
    ordered = sorted(structs, key=lambda struct: struct.__name__)
    references, components = msgspec.json.schema_components([*ordered, Problem], ref_template=REF_TEMPLATE)
    schemas = _Schemas(dict(zip(ordered, references, strict=False)), components)
    paths: dict[str, dict[str, Any]] = {}
    for path, route in routes:
        for method in sorted(route.methods or ()):
            paths.setdefault(path, {})[method.lower()] = _operation(path, route, schemas)
    built = {
        "openapi": "3.1.0",
        "info": {
            "title": "Orderwire",
            "version": __version__,
            "description": "Self-hosted exchange. Money, prices and quantities are decimal strings.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
        "x-codes": {code: {"status": info.status, "title": info.title} for code, info in CODES.items()},
    }
    _to_ecma(built)
    return built


def dependencies_of(route: APIRoute) -> Iterator[Any]:
    """Yield everything that a route depends on, directly or not."""
    yield from _dependencies(route.dependant)


def _dependencies(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _dependencies(inner)


def _needs_credentials(calls: list[Any]) -> bool:
    return authenticated in calls or any(isinstance(call, RequireScope) for call in calls)


def _answer_of(route: APIRoute) -> Answer | None:
    found: Answer | None = (route.openapi_extra or {}).get(_ANSWER)
    return found


def _structs(route: APIRoute) -> Iterator[Any]:
    given = _answer_of(route)
    if given is not None:
        yield given.schema
        if given.alternative is not None:
            yield given.alternative
    for call in dependencies_of(route):
        if isinstance(call, JsonBody | QueryOf):
            yield call.schema


def _operation(path: str, route: APIRoute, schemas: _Schemas) -> dict[str, Any]:
    calls = list(dependencies_of(route))
    summary, _, rest = (route.endpoint.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "operationId": route.endpoint.__name__,
        "tags": list(route.tags),
        "summary": summary.rstrip("."),
        "parameters": list(_parameters(path, calls, schemas)),
        "responses": _responses(path, route, calls, schemas),
    }
    if rest.strip():
        operation["description"] = " ".join(rest.split())
    for call in calls:
        if isinstance(call, JsonBody):
            content = {"application/json": {"schema": schemas.references[call.schema]}}
            operation["requestBody"] = {"required": True, "content": content}
        if isinstance(call, RequireScope):
            operation["x-scope"] = call.scope
    if _needs_credentials(calls):
        operation["security"] = [{"accessToken": []}, {"apiKey": []}]
    return operation


def _parameters(path: str, calls: list[Any], schemas: _Schemas) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{([a-z_]+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
    for call in calls:
        if isinstance(call, QueryOf):
            component = schemas.references[call.schema]["$ref"].rsplit("/", 1)[1]
            for name, schema in schemas.components[component].get("properties", {}).items():
                yield {"name": name, "in": "query", "required": False, "schema": _present(schema)}


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema when it is sent: left out it is null, which no text can be."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and value is not None}
    return rest | kinds[0] if len(kinds) == 1 else rest


def _responses(path: str, route: APIRoute, calls: list[Any], schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    given = _answer_of(route)
    if given is None:
        responses["200"] = {"description": "Success."}
    else:
        schema = _answer_schema(given, schemas.references[given.schema])
        if given.alternative is not None:
            schema = {"anyOf": [schema, schemas.references[given.alternative]]}
        content = {"application/json": {"schema": schema}}
        for status in given.statuses:
            responses[str(status)] = {"description": "Success.", "content": content}
    refusals = {400, 422, 500, 503}
    if _needs_credentials(calls):
        refusals |= {401, 403}
    if "{" in path:
        refusals |= {404}
    if any(isinstance(call, JsonBody) for call in calls):
        refusals |= {413, 415}
    if any(isinstance(call, RequireScope) and call.scope != "read" for call in calls):
        refusals |= {409, 429, 504}
    if any(isinstance(call, QueryOf) and issubclass(call.schema, ReadQuery) for call in calls):
        refusals |= {409}
    problem = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(name="Problem")}}}
    for status in sorted(refusals):
        codes = ", ".join(code for code, info in CODES.items() if info.status == status)
        responses[str(status)] = {"description": f"Refused: {codes}.", "content": problem}
    return responses


def _answer_schema(given: Answer, schema: Any) -> Any:
    if given.is_page:
        return {
            "type": "object",
            "required": ["data", "next_cursor", "as_of_seq"],
            "properties": {
                "data": {"type": "array", "items": schema},
                "next_cursor": {"type": ["string", "null"]},
                "as_of_seq": {"type": "integer"},
            },
        }
    if given.adds is not None:
        addition = {"type": "object", "required": [given.adds], "properties": {given.adds: {"type": "integer"}}}
        return {"allOf": [schema, addition]}
    return schema


def _to_ecma(node: Any) -> None:
    """Rewrite patterns in place: Python's end of text is `\\Z`, JSON Schema's is `$`."""
    if isinstance(node, dict):
        pattern = node.get("pattern")
        if isinstance(pattern, str) and pattern.endswith("\\Z"):
            node["pattern"] = pattern.removesuffix("\\Z") + "$"
        for value in node.values():
            _to_ecma(value)
    elif isinstance(node, list):
        for value in node:
            _to_ecma(value)
