"""Bodies: bounded bytes, one media type, strict JSON into the schema's struct.

The order of refusals: too big (413), another media type (415), not JSON (400 invalid_json), then the
schema (400, or 422 for unknown and repeated fields). Nothing before the bound costs more than the bound.
"""

import asyncio
import json
import re
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request

from app.api.validation import repeated_field
from app.errors import ApiError
from app.protocol.validation import invalid_request

BODY_BYTES_MAX = 64 * 1024
BODY_BYTES_DRAINED_MAX = 1 << 20
"""Up to here a body that is too big is read and dropped: a client still sending would not see the refusal."""
BODY_SECONDS_MAX = 10
"""A body that trickles in slower than this is given up."""
_JSON_MEDIA_TYPE = re.compile(r'application/json(?:[ \t]*;[ \t]*charset="?utf-8"?)?[ \t]*', re.IGNORECASE | re.ASCII)
T = TypeVar("T", bound=msgspec.Struct)


async def raw_body(request: Request) -> bytes:
    """Return the body's bytes; they are read once, for whoever asks first. Raises ApiError `message_too_big`."""
    state: dict[str, Any] = request.scope.setdefault("state", {})
    if _RAW not in state:
        state[_RAW] = await _read(request)
    raw: bytes = state[_RAW]
    return raw


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > BODY_BYTES_DRAINED_MAX:
        raise _too_big(_CLOSE)
    body = bytearray()
    received = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                received += len(chunk)
                if received <= BODY_BYTES_MAX:
                    body += chunk
                elif received > BODY_BYTES_DRAINED_MAX:
                    raise _too_big(_CLOSE)
    except TimeoutError as error:
        detail = f"The body did not arrive in {BODY_SECONDS_MAX} s."
        raise ApiError("invalid_request", detail, status=408, headers=_CLOSE) from error
    if received > BODY_BYTES_MAX:
        raise _too_big({})
    return bytes(body)


_RAW = "raw_body"
_CLOSE = {"Connection": "close"}
"""The rest of the body is not read, so the connection cannot serve another request."""


class JsonBody(Generic[T]):
    """Dependency that decodes the body into one schema struct; the API document reads `schema` from it."""

    def __init__(self, schema: type[T]) -> None:
        self.schema = schema
        self._decode = msgspec.json.Decoder(schema).decode

    async def __call__(self, request: Request) -> T:
        """Return the decoded body. Raises ApiError."""
        raw = await raw_body(request)
        check_media_type(request)
        try:
            value = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            check_json(raw)
            raise invalid_request(msgspec.ValidationError(str(error))) from error
        # The schema bounds the depth of what arrives here, so the slower parser is safe on it.
        json.loads(raw, object_pairs_hook=_unique_keys)
        return value


def check_media_type(request: Request) -> None:
    """Refuse whatever is not plain JSON. Raises ApiError `unsupported_media_type`."""
    media_type = request.headers.getlist("content-type")
    if len(media_type) != 1 or _JSON_MEDIA_TYPE.fullmatch(media_type[0]) is None:
        raise ApiError("unsupported_media_type", "Expected Content-Type: application/json.")
    if request.headers.get("content-encoding") is not None:
        raise ApiError("unsupported_media_type", "Expected a body without Content-Encoding.")


def check_json(raw: bytes) -> None:
    """Refuse bytes that are not JSON at all: broken, NaN, 1e400, not UTF-8, nested without end.

    The schema's decoder stops at the first thing it dislikes; this tells its two kinds apart.
    Raises ApiError `invalid_json`.
    """
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("invalid_json", "The body is not valid JSON.") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise repeated_field(name)
        seen.add(name)


def _too_big(headers: dict[str, str]) -> ApiError:
    detail = f"Expected a body of at most {BODY_BYTES_MAX} bytes."
    return ApiError("message_too_big", detail, limit=str(BODY_BYTES_MAX), headers=headers)
