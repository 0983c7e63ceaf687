"""Logging: one stream, one shape, no secrets."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog

from app import logs

CANARY = "canary-7d1f"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, captured = root.handlers[:], root.level, warnings.showwarning
    quiet = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, value in quiet.items():
        logging.getLogger(name).setLevel(value)
    logging.captureWarnings(False)
    warnings.showwarning = captured
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_both_kinds_of_logger_write_the_same_json_shape() -> None:
    stream = io.StringIO()
    logs.configure(role="engine", stream=stream)
    logging.getLogger("app.link.server").warning("link lost after %d ms", 40, extra={"replica": "a"})
    structlog.get_logger("app.link.client").warning("link lost", replica="b")
    first, second = lines_of(stream)
    assert first["event"] == "link lost after 40 ms"
    assert (first["replica"], second["replica"]) == ("a", "b")
    for line in (first, second):
        assert line["role"] == "engine"
        assert line["level"] == "warning"
        assert str(line["timestamp"]).endswith("Z")
        assert str(line["logger"]).startswith("app.link.")


@pytest.mark.parametrize(
    "members",
    [
        {"secret": CANARY},
        {"jwt_secret": CANARY},
        {"X-API-Signature": CANARY},
        {"access_token": CANARY},
        {"refreshToken": CANARY},
        {"Authorization": f"Bearer {CANARY}"},
        {"password": CANARY},
        {"cookie": CANARY},
        {"apiKey": CANARY},
        {"headers": [{"deep": {"x-api-signature": CANARY}}]},
        {"body": ({"link_secret": CANARY},)},
        {"database_url": f"postgresql://orderwire:{CANARY}@db:5432/exchange"},
        {"redis": f"could not reach redis://:{CANARY}@cache:6379/0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_secret_is_masked(members: dict[str, object], log_format: logs.LogFormat) -> None:
    stream = io.StringIO()
    logs.configure(role="api", log_format=log_format, stream=stream)
    structlog.get_logger("app").info("request", **members)
    logging.getLogger("app").info("request", extra=members)
    assert stream.getvalue().count("request") == 2
    assert CANARY not in stream.getvalue()
    assert logs.MASK in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_traceback_shows_neither_local_variables_nor_passwords_of_urls(log_format: logs.LogFormat) -> None:
    stream = io.StringIO()
    logs.configure(role="api", log_format=log_format, stream=stream)
    signing_value = "canary" + "-local"
    try:
        raise ConnectionError(f"cannot reach postgresql://user:{CANARY}@db/exchange ({len(signing_value)})")
    except ConnectionError:
        structlog.get_logger("app").exception("database is gone")
        logging.getLogger("app").exception("database is gone")
    assert stream.getvalue().count("ConnectionError: cannot reach") == 2
    assert CANARY not in stream.getvalue()
    assert "canary-local" not in stream.getvalue()


def test_ids_and_figures_are_not_masked() -> None:
    members = {"key_id": "ak_1", "api_key_id": "ak_2", "engine_seq": 9, "symbols": ["BTC-USD"], "url": "http://h:80/x"}
    assert logs.masked(members) == members


def test_cycle_ends_in_a_mask() -> None:
    cycle: dict[str, object] = {}
    cycle["again"] = cycle
    stream = io.StringIO()
    logs.configure(role="api", stream=stream)
    structlog.get_logger("app").info("cycle", value=cycle)
    assert logs.MASK in stream.getvalue()


def test_level_is_the_least_that_is_logged() -> None:
    stream = io.StringIO()
    logs.configure(role="api", level="warning", stream=stream)
    structlog.get_logger("app").info("quiet")
    logging.getLogger("app").info("quiet")
    structlog.get_logger("app").warning("loud")
    assert [line["event"] for line in lines_of(stream)] == ["loud"]


def test_uvicorn_writes_the_same_stream_and_access_lines_are_left_out() -> None:
    logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler(sys.stdout))
    stream = io.StringIO()
    logs.configure(role="api", stream=stream)
    logging.getLogger("uvicorn.error").info("Application startup complete.")
    logging.getLogger("uvicorn.access").info("GET /healthz 200")
    assert [line["event"] for line in lines_of(stream)] == ["Application startup complete."]
    assert logging.getLogger("uvicorn.access").handlers == []


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(role="api", log_format="auto")
    logging.getLogger("app").warning("here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "here"


def test_value_that_json_does_not_know_is_shown_as_text() -> None:
    stream = io.StringIO()
    logs.configure(role="api", stream=stream)
    structlog.get_logger("app").info(
        "odd", error=ValueError("expected 1, was 2"), raw=b"\xff", big=1 << 80, half="\udcff"
    )
    (line,) = lines_of(stream)
    assert line["big"] == 1 << 80
    assert line["half"] == "\udcff"
    assert line["error"] == "expected 1, was 2"
    assert line["raw"] == "b'\\xff'"
