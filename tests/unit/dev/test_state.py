"""What dev remembers: the same secrets next time, in a private file, for the same mode."""

import stat
from pathlib import Path

import pytest

from app.dev.credentials import Credentials
from app.dev.state import DevState
from app.errors import StartupError

ALICE = Credentials("1001", "ow_key", "secret")


def test_secrets_and_keys_come_back_from_the_data_folder(tmp_path: Path) -> None:
    first = DevState(tmp_path, demo=True)
    first.save({"alice": ALICE}, is_seeded=True)
    second = DevState(tmp_path, demo=True)
    assert (second.secrets, second.password) == (first.secrets, first.password)
    assert (second.credentials, second.is_seeded) == ({"alice": ALICE}, True)
    assert stat.S_IMODE((tmp_path / "orderwire.json").stat().st_mode) == 0o600


def test_secrets_are_long_and_different() -> None:
    states = [DevState(None, demo=False) for _ in range(2)]
    secrets = [secret for state in states for secret in (*state.secrets.values(), state.password)]
    assert len(set(secrets)) == 8
    assert min(len(secret) for secret in secrets) >= 32


def test_state_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    DevState(None, demo=True).save({"alice": ALICE}, is_seeded=True)
    assert list(tmp_path.iterdir()) == []


def test_folder_of_the_other_mode_is_refused(tmp_path: Path) -> None:
    DevState(tmp_path, demo=True).save()
    with pytest.raises(StartupError, match="with the demo market"):
        DevState(tmp_path, demo=False)


@pytest.mark.parametrize("text", ["", "[]", '{"accounts": {"alice": 1}}'])
def test_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "orderwire.json").write_text(text)
    with pytest.raises(StartupError, match=r"orderwire\.json is damaged"):
        DevState(tmp_path, demo=True)
