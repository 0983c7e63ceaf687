"""Every refusal as one RFC 9457 answer, whoever raised it; nothing of the input is repeated.

Handlers for our own errors, for Starlette's 404 and 405, and for the outages of what is behind us.
What is left over ends in `edge.Edge` as `internal_error`.
"""

from math import ceil

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.api.rate_limits import identify
from app.errors import ApiError, BusUnavailable, JournalUnavailable, LinkError, Unavailable
from app.protocol.problems import problem_of

PROBLEM_MEDIA_TYPE = "application/problem+json"
_encode = msgspec.json.Encoder().encode
_OUTAGES = (BusUnavailable, JournalUnavailable, OperationalError, InterfaceError, PoolTimeoutError, OSError)
"""What a dependency that is down looks like from here; OSError is the base of refused and timed-out connections."""
_NAMES = {JournalUnavailable: "PostgreSQL", BusUnavailable: "Redis"}
_SOME_OUTAGE = "A dependency does not answer right now."
_CODES_BY_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "message_too_big",
    415: "unsupported_media_type",
}


def problem_answer(error: ApiError, request_id: str | None) -> Response:
    """Return an error as its HTTP answer."""
    problem = problem_of(error, request_id)
    headers = dict(error.headers)
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_ms / 1000)))
    elif problem.status in (429, 503):
        headers["Retry-After"] = "1"
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(_encode(problem), problem.status, headers, PROBLEM_MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every exception of the application be answered here."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(LinkError, _link_error)
    for outage in _OUTAGES:
        app.add_exception_handler(outage, _outage)


def _answer(request: Request, error: ApiError) -> Response:
    return problem_answer(error, getattr(request.state, "request_id", None))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  # registered for this class
    return _answer(request, error)


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer what routing raised: unknown paths and methods; no route counted the request."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class
    try:
        identify(request, None)
    except ApiError as too_many:
        return _answer(request, too_many)
    status = error.status_code
    if status == 405:
        allow = ", ".join(sorted(_methods_of_path(request)))
        return _answer(request, ApiError("method_not_allowed", f"This path takes {allow}.", headers={"Allow": allow}))
    code = _CODES_BY_STATUS.get(status, "invalid_request" if status < 500 else "internal_error")
    return _answer(request, ApiError(code, "There is nothing at this path." if status == 404 else "", status=status))


def _methods_of_path(request: Request) -> set[str]:
    """Return all methods of all routes that know the path: Starlette names only the first route's."""
    path = request.scope["path"]
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        if context.methods and context.path_regex.match(path):
            methods |= context.methods
    return methods


async def _validation_error(request: Request, error: Exception) -> Response:
    """Answer FastAPI's own validation, which no route of ours should reach."""
    return _answer(request, ApiError("invalid_request", "The request does not have the promised form."))


async def _link_error(request: Request, error: Exception) -> Response:
    """Answer a lost command link: whether anything was executed depends on whether it was sent."""
    assert isinstance(error, LinkError)  # noqa: S101  # registered for this class
    if error.sent:
        return _answer(request, ApiError("execution_unknown", "The engine was lost; it may have executed this."))
    return _answer(request, ApiError("engine_unavailable", "No engine is leading right now."))


async def _outage(request: Request, error: Exception) -> Response:
    detail = next(
        (f"{name} does not answer right now." for kind, name in _NAMES.items() if isinstance(error, kind)), ""
    )
    retry_after_ms = error.retry_after_ms if isinstance(error, Unavailable) else None
    return _answer(request, ApiError("service_unavailable", detail or _SOME_OUTAGE, retry_after_ms=retry_after_ms))
