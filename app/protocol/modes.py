"""How the exchange is: one mode, and what each part says, the same words in every place that shows it.

The leader tells its findings to the replicas with every beat; a replica adds its own and shows the
whole in `/readyz`, `/v1/status`, the `status` channel and its metrics.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """What clients can do, from everything to nothing but read."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    """Everything is served, with less to spare or later than usual."""
    CANCEL_ONLY = "cancel_only"
    """Orders can be canceled, new ones and amends are refused with `cancel_only`."""
    READ_ONLY = "read_only"
    """No command is executed."""


class Part(StrEnum):
    """What can be wrong."""

    ENGINE = "engine"
    DATABASE = "database"
    REDIS = "redis"
    STANDBY = "standby"
    DISK = "disk"
    REOPENING = "reopening"
    PROJECTION = "projection"
    STREAM = "stream"
    DRAIN = "drain"


OK = "ok"
RANK = {mode: rank for rank, mode in enumerate(Mode)}


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """One thing that is wrong: with which part, what is left, and in words."""

    part: Part
    mode: Mode
    text: str


class ExchangeStatus(msgspec.Struct, frozen=True):
    """The whole: every part is named, with `ok` or what is wrong with it."""

    mode: Mode
    reasons: dict[str, str]
    ready: bool = True
    """Whether a load balancer should send requests to this replica."""


def status_of(findings: Iterable[Finding], *, ready: bool = True) -> ExchangeStatus:
    """Return the worst mode of all findings, and the worst finding of each part."""
    worst: dict[Part, Finding] = {}
    for finding in findings:
        known = worst.get(finding.part)
        if known is None or RANK[finding.mode] > RANK[known.mode]:
            worst[finding.part] = finding
    mode = max((finding.mode for finding in worst.values()), key=RANK.__getitem__, default=Mode.NORMAL)
    return ExchangeStatus(mode, {part.value: worst[part].text if part in worst else OK for part in Part}, ready)
