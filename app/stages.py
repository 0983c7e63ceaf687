"""How long each stage of an order's way takes: counted per command, cheaply enough to count every one.

The client library's histograms cost more than a microsecond an observation; a batch of the engine is
counted here with one addition for all its commands. Written from one thread; whoever reads meanwhile
may see a command in the sum that is not in the count yet.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

BOUNDS_S: Final = tuple(
    digits * 10.0**power for power in range(-6, 1) for digits in (1.0, 2.5, 5.0)
)  # 1 us to 5 s, three a decade
NAME = "orderwire_stage_seconds"
DOCUMENTATION = "Time of a command in one stage of its way; docs/OPERATIONS.md says where each begins and ends"


class Stage(StrEnum):
    """From the replica to the read models."""

    GATEWAY = "gateway"
    LINK = "link"
    QUEUE = "queue"
    APPLY = "apply"
    COMMIT = "commit"
    PUBLISH = "publish"
    PROJECT = "project"


class StageTimes:
    """Histogram of one stage."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """Commands by the first bound that is not below their time."""
        self.total_s = 0.0

    def add(self, seconds: float, commands: int = 1) -> None:
        """Count commands that took so long each."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += commands
        self.total_s += seconds * commands

    @property
    def commands(self) -> int:
        """Return how many were counted."""
        return sum(self.counts)


TIMES: Final = {stage: StageTimes() for stage in Stage}


class StageCollector(Collector):
    """Shows some stages as one metric, labeled by stage."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._stages = tuple(stages)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric in the form of the client library."""
        family = HistogramMetricFamily(NAME, DOCUMENTATION, labels=["stage"])
        for stage in self._stages:
            times, below = TIMES[stage], 0
            buckets = []
            for bound, count in zip((*map(repr, BOUNDS_S), "+Inf"), times.counts, strict=True):
                below += count
                buckets.append((bound, below))
            family.add_metric([stage.value], buckets=buckets, sum_value=times.total_s)
        yield family
