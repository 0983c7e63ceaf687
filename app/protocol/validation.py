"""What is wrong with an input, told by field and rule, never by repeating the input.

msgspec's messages are written for developers and name offending values; only their parts that
come from our own schema leave the house.
"""

import re

import msgspec

from app.errors import ApiError
from app.protocol.field_rules import pattern_rule

_PATH = re.compile(r" - at `\$\.?([A-Za-z0-9_.\[\]]*)`\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `([a-z0-9_]+)`")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def invalid_request(error: msgspec.ValidationError) -> ApiError:
    """Return the refusal for an input of the wrong form: 422 for an unknown field, else 400."""
    message = str(error)
    located = _PATH.search(message)
    path = located.group(1) if located else ""
    if located:
        message = message[: located.start()]
    if unknown := _UNKNOWN.fullmatch(message):
        named = unknown.group(1) if _FIELD_NAME.fullmatch(unknown.group(1)) else None
        detail = "This call does not know the field."
        return ApiError("invalid_request", detail, status=422, field=_join(path, named))
    if missing := _MISSING.fullmatch(message):
        return ApiError("invalid_request", "A required field is missing.", field=_join(path, missing.group(1)))
    if rule := pattern_rule(message):
        return ApiError("invalid_request", rule, field=path or None)
    # Every message that starts so states what the schema wants and, at most, the type that came.
    detail = message + "." if message.startswith("Expected ") else "Expected one of the promised values."
    return ApiError("invalid_request", detail, field=path or None)


def _join(path: str, name: str | None) -> str | None:
    return f"{path}.{name}" if path and name else name or path or None
