"""`.env.example` lists every setting of the settings class, and nothing else, with its meaning."""

import re

import pytest
from pydantic import AliasChoices

from app.config import SAMPLE_PREFIX, Settings
from tests.tidy.tree import ROOT, text

EXAMPLE = text(".env.example")
SECRETS = {"LINK_SECRET", "JWT_SECRET", "KEY_SECRET"}


def variables() -> dict[str, str]:
    """Return variable and value, as the file states them."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def settings_names() -> dict[str, str]:
    """Return environment variable and field, as the class reads them."""
    names: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            names[str(alias.choices[0])] = field
        else:
            names[f"ORDERWIRE_{field.upper()}"] = field
    return names


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings_names():
        monkeypatch.delenv(name, raising=False)


def test_example_and_class_name_the_same_settings() -> None:
    assert set(variables()) == set(settings_names())


def test_each_variable_has_one_line_of_meaning_that_says_what_the_class_says() -> None:
    for name, field in settings_names().items():
        meaning = re.search(rf"^# (.+)\n{name}=", EXAMPLE, re.MULTILINE)
        assert meaning, f"{name}: expected a comment line right above"
        description = Settings.model_fields[field].description
        assert description, f"{field}: expected a description"
        assert meaning[1].startswith(description), f"{name}: expected {description!r} first, was {meaning[1]!r}"


def test_example_gives_the_defaults() -> None:
    settings = Settings(_env_file=ROOT / ".env.example")
    for name, field in settings_names().items():
        default = Settings.model_fields[field].default
        if not Settings.model_fields[field].is_required():
            assert getattr(settings, field) == default, name


def test_secrets_of_the_example_are_samples_that_production_refuses() -> None:
    assert all(variables()[name].startswith(SAMPLE_PREFIX) for name in SECRETS)
    with pytest.raises(ValueError, match=r"LINK_SECRET: expected a secret of your own"):
        Settings(_env_file=ROOT / ".env.example", environment="production")
