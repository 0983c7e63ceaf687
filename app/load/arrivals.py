"""When orders are meant to be sent: decided ahead, never by how fast the last answer came."""

import random
from collections.abc import Iterator
from enum import StrEnum


class Arrivals(StrEnum):
    """How the moments are spread: independent clients, or a metronome."""

    POISSON = "poisson"
    CONSTANT = "constant"


def moments(arrivals: Arrivals, rate: float, seed: int) -> Iterator[float]:
    """Yield seconds since the start, without an end; `rate` is arrivals a second and above 0."""
    if arrivals is Arrivals.CONSTANT:
        number = 0
        while True:
            yield number / rate
            number += 1
    choice = random.Random(f"{seed} arrivals")  # noqa: S311  # a seeded load, no secret
    at = 0.0
    while True:
        at += choice.expovariate(rate)
        yield at
