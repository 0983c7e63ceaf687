"""Settings of a role that runs in the test's own process."""

import random

import pytest

from app.config import Settings
from tests.engine_process import SECRETS


@pytest.fixture
def settings(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a shard of the test's own, which never had a leader."""
    for name, value in {**SECRETS, "DATABASE_URL": database_url, "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ORDERWIRE_SHARD", str(random.randrange(1_000, 2**15)))
    monkeypatch.setenv("ORDERWIRE_API_PORT", "0")
    return Settings()
