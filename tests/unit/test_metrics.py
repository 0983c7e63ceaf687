"""Metrics: names, help texts, closed label sets, exposition."""

import re

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app import metrics

LABELS = {"orderwire_build": {"role", "version"}, "orderwire_orders": {"code"}}
NAME = re.compile(r"orderwire_[a-z]+(_[a-z]+)+")


def own_families() -> list[Metric]:
    metrics.announce(role="api", version="0.1.0")
    metrics.ORDERS.labels(code="accepted").inc()
    text = metrics.exposition().decode()
    return [family for family in text_string_to_metric_families(text) if not family.name.startswith("process_")]


def test_names_follow_the_pattern_and_every_metric_has_a_help_text() -> None:
    families = own_families()
    assert len(families) >= 7
    for family in families:
        assert all(NAME.fullmatch(sample.name) for sample in family.samples), family.name
        assert len(family.documentation) > 20, family.name


def test_labels_are_the_declared_closed_sets() -> None:
    for family in own_families():
        name = family.name.removesuffix("_total").removesuffix("_info")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == LABELS.get(name, set()), family.name


def test_process_states_what_it_is() -> None:
    metrics.announce(role="engine", version="1.2.3")
    assert b'orderwire_build_info{role="engine",version="1.2.3"} 1.0' in metrics.exposition()
