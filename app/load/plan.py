"""What a run of the load is asked to do."""

from dataclasses import dataclass
from enum import StrEnum

from app.load.arrivals import Arrivals

CONNECTIONS_MAX = 200
"""`select` knows a thousand descriptors and no more."""


class Via(StrEnum):
    """Where the load goes in: the public API's stream or REST, or the engine's link."""

    STREAM = "stream"
    REST = "rest"
    LINK = "link"


@dataclass(frozen=True)
class Plan:
    """What to send: `rate` a second for `seconds`, at most `in_flight_max` under way."""

    rate: float
    seconds: float
    arrivals: Arrivals = Arrivals.POISSON
    seed: int = 1
    in_flight_max: int = 1_000


@dataclass(frozen=True)
class Options:
    """A plan, and the connections it goes over; each is a trader of its own."""

    via: Via
    plan: Plan
    connections: int
