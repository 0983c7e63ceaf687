"""One spelling of the database URL, whatever the platform injected."""

import pytest

from app.errors import StartupError
from app.storage.database import asyncpg_dsn, create_database_engine, server_place


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_usual_scheme_means_asyncpg(scheme: str) -> None:
    url = f"{scheme}://user:p%40ss@db.example:6543/name?sslmode=require"

    assert asyncpg_dsn(url) == "postgresql://user:p%40ss@db.example:6543/name?sslmode=require"
    engine = create_database_engine(url, pool_size=1)
    assert engine.dialect.driver == "asyncpg"
    await engine.dispose()


@pytest.mark.parametrize("url", ["mysql://user:hidden@host/name", "sqlite:///file", "user:hidden@host", "", "://"])
def test_another_scheme_is_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(StartupError, match="DATABASE_URL: expected") as refused:
        asyncpg_dsn(url)

    assert "hidden" not in str(refused.value)


def test_the_place_of_a_server_has_no_credentials() -> None:
    assert server_place("postgres://user:hidden@db.example:6543/name") == "db.example:6543/name"
    assert server_place("postgresql:///name") == "localhost:5432/name"
