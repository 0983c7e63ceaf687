"""The demo price walks, stays near its anchor for hours, and never jumps."""

import math

import pytest

from app.dev.catalog import INSTRUMENTS, ListedInstrument
from app.dev.fair_price import STEP_MAX_S, FairPrice


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.symbol)
def test_price_stays_well_within_the_demo_band_for_a_day(instrument: ListedInstrument) -> None:
    for seed in range(3):
        walk = FairPrice(100.0, instrument.volatility, seed=seed)
        prices = [walk.at(second) for second in range(0, 86_400, 4)]
        assert 90 < min(prices) < 100 < max(prices) < 110, f"seed {seed}"


def test_walk_goes_on_from_the_last_price_and_returns_to_the_anchor() -> None:
    walk = FairPrice(100.0, 0.0, start=120.0)
    assert walk.at(0.0) == pytest.approx(120.0)
    later = [walk.at(second) for second in range(0, 7_200, 4)]
    assert later == sorted(later, reverse=True)
    assert 100.0 < later[-1] < 101.0


def test_long_pause_is_a_small_step() -> None:
    walk = FairPrice(100.0, 1e-4, seed=1)
    before = walk.at(0.0)
    after = walk.at(100_000.0)
    assert abs(math.log(after / before)) < 6 * 1e-4 * math.sqrt(STEP_MAX_S)
