"""Metrics of one process, in a registry of our own that `/metrics` renders.

Names are `orderwire_<noun>_<unit>[_total]`. Label values come from closed sets (wire codes, roles),
never from input, so the number of series is bounded. A metric is here only if some code sets it.
"""

import contextlib

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.stages import Stage, StageCollector

# A second series per metric that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package leaves this one untyped

CONTENT_TYPE = CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry()

BUILD = Info("orderwire_build", "Version and role of this process", registry=REGISTRY)

ORDERS = Counter(
    "orderwire_orders_total",
    "Order commands answered by this replica, by outcome: accepted, duplicate, or the refusal's wire code",
    ["code"],
    registry=REGISTRY,
)

ORDERS_ENDED = Counter(
    "orderwire_orders_ended_total",
    "Orders that were canceled or expired in the journal rows that this worker projected, by reason",
    ["reason"],
    registry=REGISTRY,
)

TRADES_PREVENTED = Counter(
    "orderwire_trades_prevented_total",
    "Matches of one owner's orders in the journal rows that this worker projected, by mode of prevention",
    ["mode"],
    registry=REGISTRY,
)

BATCH_COMMANDS = Histogram(
    "orderwire_batch_commands",
    "Commands in one committed batch",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    registry=REGISTRY,
)

BATCH_BYTES = Histogram(
    "orderwire_batch_bytes",
    "Bytes of one committed batch as journaled",
    buckets=tuple(4.0**power for power in range(4, 13)),
    registry=REGISTRY,
)

COMMIT_SECONDS = Histogram(
    "orderwire_commit_seconds",
    "Time from sending a journal append to knowing that it is durable",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0),
    registry=REGISTRY,
)

BUS_LAG_COMMANDS = Gauge(
    "orderwire_bus_lag_commands",
    "Committed commands that the leader has not published on the bus yet",
    registry=REGISTRY,
)

SESSIONS_OPEN = Gauge("orderwire_sessions_open", "WebSocket sessions open on this replica", registry=REGISTRY)

CHANNELS_OPEN = Gauge("orderwire_channels_open", "Channel subscriptions of this replica's sessions", registry=REGISTRY)

MODE = Gauge(
    "orderwire_exchange_mode",
    "Mode as this process sees it: 0 normal, 1 degraded, 2 cancel_only, 3 read_only",
    registry=REGISTRY,
)

PART_OK = Gauge(
    "orderwire_part_ok",
    "Whether a part is as it should be (1) or not (0); /v1/status says in words what is wrong",
    ["part"],
    registry=REGISTRY,
)

DISK_FREE_RATIO = Gauge(
    "orderwire_disk_free_ratio",
    "Free share of the fullest volume of the database, 0 to 1; NaN while it cannot be measured",
    registry=REGISTRY,
)
DISK_FREE_RATIO.set(float("nan"))

PROJECTION_LAG_SECONDS = Gauge(
    "orderwire_projection_lag_seconds",
    "Age of the oldest journal row that the core projection has not applied; NaN if none ever ran",
    registry=REGISTRY,
)
PROJECTION_LAG_SECONDS.set(float("nan"))

BREAKER_OPEN = Gauge(
    "orderwire_breaker_open",
    "Whether this replica leaves a dependency alone for now (1), because it did not answer",
    ["dependency"],
    registry=REGISTRY,
)

ProcessCollector(registry=REGISTRY)


_OF_ROLE = {
    "api": (ORDERS, SESSIONS_OPEN, CHANNELS_OPEN, MODE, PART_OK, BREAKER_OPEN),
    "engine": (
        BATCH_COMMANDS,
        BATCH_BYTES,
        COMMIT_SECONDS,
        BUS_LAG_COMMANDS,
        MODE,
        PART_OK,
        DISK_FREE_RATIO,
        PROJECTION_LAG_SECONDS,
    ),
    "worker": (ORDERS_ENDED, TRADES_PREVENTED),
}


_STAGES_OF_ROLE = {
    "api": StageCollector((Stage.GATEWAY, Stage.LINK)),
    "engine": StageCollector((Stage.QUEUE, Stage.APPLY, Stage.COMMIT, Stage.PUBLISH)),
    "worker": StageCollector((Stage.PROJECT,)),
}


def announce(*, role: str, version: str) -> None:
    """State what this process is, and show only the metrics that its role sets: others would stand still at 0."""
    BUILD.info({"role": role, "version": version})
    for metric in (*{metric for owned in _OF_ROLE.values() for metric in owned}, *_STAGES_OF_ROLE.values()):
        with contextlib.suppress(KeyError):
            REGISTRY.unregister(metric)
    for metric in _OF_ROLE.get(role, ()):
        REGISTRY.register(metric)
    if role in _STAGES_OF_ROLE:
        REGISTRY.register(_STAGES_OF_ROLE[role])


def exposition() -> bytes:
    """Return all metrics in the text format of CONTENT_TYPE."""
    return generate_latest(REGISTRY)
