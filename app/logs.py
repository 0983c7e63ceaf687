"""Logging of every role: structlog and the standard library's loggers, as one stream on stderr.

Lines are JSON objects when stderr is not a terminal, or when the setting says so; stdout belongs
to the commands. Values under names that tell of secrets are masked at any depth, and so are
passwords inside URLs: a log is read by more people than the thing it tells about. A role calls
`configure` before it does anything else; modules use `logging.getLogger(__name__)` or structlog.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["auto", "json", "text"]

MASK = "***"
DEPTH_MAX = 8
"""A value nested deeper is masked whole, so that a cycle ends here."""

_SECRET_NAME = re.compile(
    r"secret|token|passw|signature|authorization|cookie|credential|private_?key|api_?key(?!_?id)", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s/]*@")
_QUIET = ("uvicorn.access", "asyncio", "httpx2", "httpcore2", "websockets")
"""A line per request or frame tells an operator nothing, metrics count them; warnings still show."""


def configure(*, role: str, level: str = "info", log_format: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (default stderr); a second call replaces the first."""
    target = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and target.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _adds("role", role),
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(target, as_text=as_text))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # uvicorn's own set-up writes access lines to stdout.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def masked(value: object, depth: int = DEPTH_MAX) -> object:
    """Return a loggable copy of the value in which everything secret is masked."""
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return masked_members(value, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner, depth - 1) for inner in value]
    return masked(str(value))


def masked_members(members: Mapping[str, object], depth: int = DEPTH_MAX) -> dict[str, object]:
    """Return the members with secret names' values, and whatever is secret deeper down, masked."""
    return {
        str(name): MASK if _SECRET_NAME.search(str(name)) else masked(value, depth - 1)
        for name, value in members.items()
    }


def _rendering(target: TextIO, *, as_text: bool) -> list[Processor]:
    # Tracebacks become text before masking, and never show local variables: those hold secrets.
    chain: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        lambda _logger, _method, event: masked_members(event),
    ]
    if as_text:
        plain = structlog.dev.plain_traceback
        return [*chain, structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=plain)]
    return [*chain, structlog.processors.JSONRenderer()]


def _adds(name: str, value: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event[name] = value
        return event

    return add
