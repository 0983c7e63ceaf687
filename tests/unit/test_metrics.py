"""Metrics: names, help texts, closed label sets, exposition."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app import metrics

LABELS = {
    "orderwire_build": {"role", "version"},
    "orderwire_orders": {"code"},
    "orderwire_orders_ended": {"reason"},
    "orderwire_trades_prevented": {"mode"},
    "orderwire_part_ok": {"part"},
    "orderwire_breaker_open": {"dependency"},
    "orderwire_stage_seconds": {"stage"},
}
NAME = re.compile(r"orderwire_[a-z]+(_[a-z]+)+")


@pytest.fixture(autouse=True)
def shown_as_a_replica() -> Iterator[None]:
    yield
    metrics.announce(role="api", version="0.1.0")


def own_families(role: str) -> list[Metric]:
    metrics.announce(role=role, version="0.1.0")
    text = metrics.exposition().decode()
    return [family for family in text_string_to_metric_families(text) if not family.name.startswith("process_")]


def families_of_all_roles() -> list[Metric]:
    metrics.ORDERS.labels(code="accepted").inc()
    metrics.ORDERS_ENDED.labels(reason="self_trade").inc()
    metrics.TRADES_PREVENTED.labels(mode="decrement").inc()
    metrics.PART_OK.labels("disk").set(1)
    metrics.BREAKER_OPEN.labels("redis").set(0)
    return own_families("api") + own_families("engine") + own_families("worker")


def test_names_follow_the_pattern_and_every_metric_has_a_help_text() -> None:
    for family in families_of_all_roles():
        assert all(NAME.fullmatch(sample.name) for sample in family.samples), family.name
        assert len(family.documentation) > 20, family.name


def test_labels_are_the_declared_closed_sets() -> None:
    for family in families_of_all_roles():
        name = family.name.removesuffix("_total").removesuffix("_info")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == LABELS.get(name, set()), family.name


def test_process_states_what_it_is() -> None:
    metrics.announce(role="engine", version="1.2.3")
    assert b'orderwire_build_info{role="engine",version="1.2.3"} 1.0' in metrics.exposition()


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        (
            "api",
            {
                "orderwire_orders",
                "orderwire_sessions_open",
                "orderwire_channels_open",
                "orderwire_exchange_mode",
                "orderwire_part_ok",
                "orderwire_breaker_open",
                "orderwire_stage_seconds",
            },
        ),
        (
            "engine",
            {
                "orderwire_batch_commands",
                "orderwire_commit_seconds",
                "orderwire_bus_lag_commands",
                "orderwire_exchange_mode",
                "orderwire_part_ok",
                "orderwire_disk_free_ratio",
                "orderwire_projection_lag_seconds",
                "orderwire_batch_bytes",
                "orderwire_stage_seconds",
            },
        ),
        ("worker", {"orderwire_orders_ended", "orderwire_trades_prevented", "orderwire_stage_seconds"}),
    ],
)
def test_role_shows_only_what_it_sets(role: str, shown: set[str]) -> None:
    metrics.announce(role=role, version="0.1.0")
    assert {family.name for family in own_families(role)} - {"orderwire_build_info", "orderwire_build"} == shown


@pytest.mark.parametrize(
    ("role", "stages"),
    [("api", {"gateway", "link"}), ("engine", {"queue", "apply", "commit", "publish"}), ("worker", {"project"})],
)
def test_role_shows_the_stages_that_pass_through_it(role: str, stages: set[str]) -> None:
    (family,) = (family for family in own_families(role) if family.name == "orderwire_stage_seconds")
    assert {sample.labels["stage"] for sample in family.samples} == stages
