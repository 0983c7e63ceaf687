"""Settings: from the environment only, frozen, and careful with secrets."""

import pytest
from pydantic import ValidationError

from app.config import Settings

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1/x",
    "REDIS_URL": "redis://127.0.0.1/0",
    "LINK_SECRET": "l" * 32,
    "JWT_SECRET": "j" * 32,
    "KEY_SECRET": "k" * 32,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def read() -> Settings:
    return Settings(_env_file=None)


def test_bare_and_prefixed_names_are_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ORDERWIRE_API_PORT", "9000")
    settings = read()
    assert settings.database_url == ENVIRONMENT["DATABASE_URL"]
    assert settings.jwt_secret.get_secret_value() == "j" * 32
    assert settings.api_port == 9000


@pytest.mark.parametrize("name", list(ENVIRONMENT))
def test_what_has_no_default_must_be_set(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises(ValidationError, match=f"(?i){name}"):
        read()


@pytest.mark.parametrize("name", ["LINK_SECRET", "JWT_SECRET", "KEY_SECRET"])
def test_short_secret_is_refused_without_showing_it(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "canary-short")
    with pytest.raises(ValidationError, match="expected 32 characters or more") as refused:
        read()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", ["LINK_SECRET", "JWT_SECRET", "KEY_SECRET"])
def test_sample_secret_works_in_development_and_is_refused_in_production(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "sample-" + "x" * 32)
    assert read().environment == "development"
    environment.setenv("ORDERWIRE_ENVIRONMENT", "production")
    with pytest.raises(ValidationError, match=f"{name}: expected a secret of your own"):
        read()


def test_secrets_are_not_shown_and_settings_are_frozen(environment: pytest.MonkeyPatch) -> None:
    settings = read()
    assert "jjjj" not in repr(settings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.api_port = 1  # type: ignore[misc]  # the point of the test
