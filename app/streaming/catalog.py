"""The instruments and assets a replica knows, and the epoch: implements `protocol.ports.Instruments`.

Seeded from the projection, then fed with the system events of every batch by the hub. Both
transports and the gateway read it.
"""

from collections.abc import Iterable

from app.domain.events import AssetCreated, EpochStarted, InstrumentListed, SystemEvent
from app.domain.instrument import Instrument
from app.streaming.sources import CatalogSeed


class Catalog:
    """Instruments by symbol and decimal places by asset."""

    def __init__(self) -> None:
        self.epoch = 0
        """The newest one, 0 before the first has begun."""
        self._cursor = 0
        self._instruments: dict[str, Instrument] = {}
        self._asset_scales: dict[str, int] = {}

    def seed(self, seed: CatalogSeed) -> None:
        """Start from a projection; events up to its cursor will change nothing."""
        self.epoch = seed.epoch
        self._cursor = seed.cursor
        self._instruments = {instrument.symbol: instrument for instrument in seed.instruments}
        self._asset_scales = dict(seed.asset_scales)

    def replace(self, other: "Catalog") -> None:
        """Take over what another catalog knows."""
        self.epoch = other.epoch
        self._cursor = other._cursor
        self._instruments = other._instruments
        self._asset_scales = other._asset_scales

    def apply(self, events: Iterable[SystemEvent]) -> None:
        """Follow the events of one batch."""
        for event in events:
            if event.engine_seq <= self._cursor:
                continue
            if isinstance(event, InstrumentListed):
                self._instruments[event.instrument.symbol] = event.instrument
            elif isinstance(event, AssetCreated):
                self._asset_scales[event.asset] = event.scale
            elif isinstance(event, EpochStarted):
                self.epoch = event.epoch

    def get(self, symbol: str) -> Instrument | None:
        """Return an instrument, or None."""
        return self._instruments.get(symbol)

    def all(self) -> list[Instrument]:
        """Return all instruments by symbol."""
        return [instrument for _, instrument in sorted(self._instruments.items())]

    def asset_scale(self, asset: str) -> int | None:
        """Return the decimal places of an asset, or None."""
        return self._asset_scales.get(asset)
