"""One exchange without a demo market for all tests of this folder that only trade on it."""

from collections.abc import Iterator

import pytest

from tests.exchange import Exchange


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A running exchange: two replicas, empty books, funded alice and bob."""
    with Exchange(tmp_path_factory.mktemp("exchange"), "--no-demo") as running:
        yield running
