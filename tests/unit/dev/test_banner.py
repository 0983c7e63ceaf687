"""What a person is told: every address, a key, and commands that name things that exist."""

import shlex

from app.dev.banner import Person, banner
from app.dev.credentials import Credentials
from app.dev.options import DevOptions

ACCOUNTS = {"alice": Credentials("1001", "ow_alice", "secret-of-alice")}
PERSON = Person("alice@example.com", "pass word", "the.token")


def test_banner_names_addresses_a_key_and_three_commands() -> None:
    text = banner(DevOptions(port=9000, replicas=3), ACCOUNTS, PERSON, keeps_data=False)
    for port in (9000, 9001, 9002):
        assert f"http://127.0.0.1:{port}" in text
        assert f"ws://127.0.0.1:{port}/v1/stream" in text
    assert "ow_alice" in text
    assert "secret-of-alice" not in text
    commands = [
        line for line in text.replace("\\\n", " ").splitlines() if line.startswith("  ") and "127.0.0.1" in line
    ]
    tools = [" ".join(shlex.split(line)) for line in commands if "curl" in line or " -m " in line]
    assert len(tools) == 3
    assert "Bearer the.token" in tools[0]


def test_banner_says_what_becomes_of_the_data() -> None:
    assert "removes its data" in banner(DevOptions(), ACCOUNTS, PERSON, keeps_data=False)
    assert "removes its data" not in banner(DevOptions(), ACCOUNTS, PERSON, keeps_data=True)


def test_banner_says_whether_the_market_trades() -> None:
    assert "demo market trades" in banner(DevOptions(), ACCOUNTS, PERSON, keeps_data=False)
    assert "books are empty" in banner(DevOptions(demo=False), ACCOUNTS, PERSON, keeps_data=False)
