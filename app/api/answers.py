"""Answers as bytes: a struct encoded once, with the sequence it is true at."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

JSON_MEDIA_TYPE = "application/json"
_encode = msgspec.json.Encoder().encode


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a struct as it is."""
    return Response(_encode(value), status, headers, JSON_MEDIA_TYPE)


def read_answer(value: msgspec.Struct, as_of_seq: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a struct with the member `as_of_seq` appended: every read says what it is true at."""
    return Response(_appended(value, b"as_of_seq", as_of_seq), 200, headers, JSON_MEDIA_TYPE)


def write_answer(value: msgspec.Struct, engine_seq: int, status: int = 200) -> Response:
    """Return a struct with the member `engine_seq` appended: every write names its place in the journal."""
    return Response(_appended(value, b"engine_seq", engine_seq), status, None, JSON_MEDIA_TYPE)


def _appended(value: msgspec.Struct, name: bytes, number: int) -> bytes:
    # The encoder ends every object with a brace, and no struct of ours is empty.
    return _encode(value)[:-1] + b',"%s":%d}' % (name, number)
