"""Lists: an opaque cursor in the `data` envelope and in a Link header.

A cursor is a position in one kind of list; one from another kind is refused, not misread.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.identifiers import ID_MAX
from app.errors import ApiError

_CURSOR = re.compile(rb"([a-z]{1,16}):([1-9][0-9]{0,18})")
Row = TypeVar("Row")


class Page(msgspec.Struct):
    """The envelope of every list."""

    data: Sequence[object]
    next_cursor: str | None
    as_of_seq: int


def encode_cursor(kind: str, position: int) -> str:
    """Return the text of a position."""
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, text: str | None) -> int | None:
    """Return the position of a cursor, None for none. Raises ApiError `invalid_request`."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    match = _CURSOR.fullmatch(raw)
    if match is None or match.group(1).decode() != kind or int(match.group(2)) > ID_MAX:
        raise ApiError("invalid_request", "Expected the next_cursor of this list's page before.", field="cursor")
    return int(match.group(2))


def cut(rows: Sequence[Row], limit: int, position: Callable[[Row], int]) -> tuple[Sequence[Row], int | None]:
    """Return at most `limit` rows and where the next page starts; the query asked for one row more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], position(rows[limit - 1])


def page_answer(
    request: Request, data: Sequence[object], *, kind: str, next_position: int | None, as_of_seq: int
) -> Response:
    """Return one page, with a link to the next."""
    if next_position is None:
        return json_answer(Page(data, None, as_of_seq))
    cursor = encode_cursor(kind, next_position)
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    link = f'<{quote(request.scope["path"])}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
    return json_answer(Page(data, cursor, as_of_seq), headers={"Link": link})
