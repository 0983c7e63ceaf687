"""The error object says what its code's row says, unless the error knows better."""

import msgspec

from app.errors import ApiError
from app.protocol.codes import CODES
from app.protocol.problems import problem_of


def test_problem_takes_status_title_and_retryable_from_its_code() -> None:
    problem = problem_of(ApiError("rate_limited", "Slow down.", retry_after_ms=250), "r1")
    assert msgspec.to_builtins(problem) == {
        "type": "/docs#rate_limited",
        "title": CODES["rate_limited"].title,
        "status": 429,
        "detail": "Slow down.",
        "code": "rate_limited",
        "request_id": "r1",
        "retryable": True,
        "retry_after_ms": 250,
    }


def test_error_may_override_status_and_retryable() -> None:
    problem = problem_of(ApiError("unknown_symbol", "x", status=404, retryable=True, field="symbol"), None)
    assert (problem.status, problem.retryable, problem.field) == (404, True, "symbol")


def test_every_code_makes_a_problem_with_retryable_stated() -> None:
    for code in CODES:
        shown = msgspec.to_builtins(problem_of(ApiError(code, "x"), "r"))
        assert shown["code"] == code
        assert isinstance(shown["retryable"], bool)
        assert 400 <= shown["status"] <= 599
