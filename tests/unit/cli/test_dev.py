"""Wrong options end with 2 before anything starts; right ones reach the supervisor."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.roles import app as cli
from app.dev import supervisor
from app.dev.options import DevOptions


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[DevOptions]:
    """Options that a supervisor which starts nothing was given."""
    runs: list[DevOptions] = []

    def run_dev(options: DevOptions) -> int:
        runs.append(options)
        return 0

    monkeypatch.setattr(supervisor, "run_dev", run_dev)
    return runs


@pytest.mark.parametrize(
    "arguments",
    [["--replicas", "0"], ["--replicas", "9"], ["--port", "0"], ["--port", "70000"], ["--port", "65535"], ["--what"]],
)
def test_wrong_usage_ends_with_2(given: list[DevOptions], arguments: list[str]) -> None:
    answer = CliRunner().invoke(cli, ["dev", *arguments])
    assert (answer.exit_code, given) == (2, [])


def test_defaults_are_two_replicas_from_port_8000_with_the_demo(given: list[DevOptions]) -> None:
    assert CliRunner().invoke(cli, ["dev"]).exit_code == 0
    assert given == [DevOptions(port=8000, replicas=2, data_dir=None, demo=True, json=False)]
    assert given[0].ports == [8000, 8001]


def test_every_option_is_passed_on(given: list[DevOptions]) -> None:
    arguments = ["--port", "9000", "--replicas", "3", "--data-dir", "data", "--no-demo", "--json"]
    assert CliRunner().invoke(cli, ["dev", *arguments]).exit_code == 0
    assert given == [DevOptions(port=9000, replicas=3, data_dir=Path("data"), demo=False, json=True)]


def test_demo_market_without_a_plan_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERWIRE_DEMO_MARKET", raising=False)
    answer = CliRunner().invoke(cli, ["demo-market"])
    assert answer.exit_code == 3
    assert "ORDERWIRE_DEMO_MARKET" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
