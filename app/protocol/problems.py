"""The one error object, built the same way for both transports from the table of codes."""

from app.errors import ApiError
from app.protocol.codes import CODES
from app.protocol.schemas import Problem

TYPE_PREFIX = "/docs#"
"""A problem's `type` leads to the words about its code on the server's own documentation page."""


def problem_of(error: ApiError, request_id: str | None) -> Problem:
    """Return the error object; what the error leaves open comes from its code's row."""
    info = CODES[error.code]
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=info.title,
        status=info.status if error.status is None else error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        retryable=info.retryable if error.retryable is None else error.retryable,
        field=error.field,
        retry_after_ms=error.retry_after_ms,
        check=error.check,
        limit=error.limit,
        actual=error.actual,
    )
