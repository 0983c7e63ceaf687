"""Refusals that only REST knows; wrong forms in general are `protocol.validation`."""

import re

from app.errors import ApiError

_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def repeated_field(name: str) -> ApiError:
    """Return the refusal for a field or query parameter that came twice: which one counts is anybody's guess."""
    named = name if _FIELD_NAME.fullmatch(name) else None
    return ApiError("invalid_request", "The field came more than once.", status=422, field=named)
