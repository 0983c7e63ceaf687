"""Every metric is set by some code: a series that never moves misleads whoever watches it."""

import re

from app import metrics
from tests.tidy.tree import modules, text


def test_every_metric_is_set_somewhere() -> None:
    names = [name for name in vars(metrics) if name.isupper() and hasattr(getattr(metrics, name), "describe")]
    assert len(names) >= 6
    code = "\n".join(text(module) for module in modules("app") if module.name != "metrics.py")
    assert [name for name in names if not re.search(rf"metrics\.{name}\b", code) and name != "BUILD"] == []
