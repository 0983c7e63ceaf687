"""The outermost layer of every request: its id, its rate, the headers of every answer, and the last catch.

Plain ASGI, because every request passes here. Whatever escapes the routes is logged with its
traceback and answered as `internal_error`, without a word of it to the client.
"""

import logging
import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_answer
from app.api.rate_limits import RateLimits, standing_headers
from app.errors import ApiError

logger = logging.getLogger(__name__)
REQUEST_ID_HEADER = "X-Request-Id"
REQUEST_ID_BYTES = 12
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_CREDENTIALS = (b"authorization", b"x-api-key")


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, rate_limits: RateLimits) -> None:
        self._app = app
        self._rate_limits = rate_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; other kinds than HTTP pass untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        secret = any(name in _CREDENTIALS for name, _ in scope["headers"])
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                if secret or scope["path"].startswith("/v1/auth/"):
                    headers["Cache-Control"] = "no-store"
                for name, value in standing_headers(scope):
                    headers[name] = value
            await send(message)

        try:
            self._rate_limits.arrive(scope)
        except ApiError as too_many:
            await problem_answer(too_many, request_id)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("request failed", extra={"request_id": request_id, "method": scope["method"]})
            if started:
                raise
            error = ApiError("internal_error", "Something broke on our side; the request id finds it in our log.")
            await problem_answer(error, request_id)(scope, receive, send_with_headers)


def _request_id(scope: Scope) -> str:
    """Return the client's request id if it sent one well-formed, else a new one."""
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]):
        text: bytes = sent[0]
        return text.decode("ascii")
    return secrets.token_hex(REQUEST_ID_BYTES)
