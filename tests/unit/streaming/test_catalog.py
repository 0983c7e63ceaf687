"""What a replica knows of instruments and assets."""

import msgspec

from app.domain.enums import InstrumentStatus
from app.domain.events import AccountOpened, AssetCreated, InstrumentListed
from app.streaming.catalog import Catalog
from app.streaming.sources import CatalogSeed
from tests.unit.streaming.exchange import instrument


def test_events_after_the_seed_are_followed() -> None:
    catalog = Catalog()
    catalog.seed(CatalogSeed(5, [instrument("BTC-USD")], {"BTC": 8}))
    catalog.apply([AssetCreated(6, "USD", 5), InstrumentListed(7, instrument("AAPL")), AccountOpened(8, 1001, "a")])
    assert [known.symbol for known in catalog.all()] == ["AAPL", "BTC-USD"]
    assert (catalog.asset_scale("USD"), catalog.asset_scale("BTC"), catalog.asset_scale("EUR")) == (5, 8, None)
    assert catalog.get("ETH-USD") is None


def test_events_before_the_seed_change_nothing() -> None:
    halted = msgspec.structs.replace(instrument(), status=InstrumentStatus.HALTED)
    catalog = Catalog()
    catalog.seed(CatalogSeed(5, [halted], {}))
    catalog.apply([InstrumentListed(4, instrument())])
    found = catalog.get(halted.symbol)
    assert found is not None
    assert found.status is InstrumentStatus.HALTED
    catalog.apply([InstrumentListed(6, instrument())])
    assert catalog.get(halted.symbol) == instrument()
