"""Every metric is set by some code: a series that never moves misleads whoever watches it."""

import re

from app import metrics
from app.stages import Stage
from tests.tidy.tree import modules, text


def test_every_metric_is_set_somewhere() -> None:
    names = [name for name in vars(metrics) if name.isupper() and hasattr(getattr(metrics, name), "describe")]
    assert len(names) >= 6
    code = "\n".join(text(module) for module in modules("app") if module.name != "metrics.py")
    assert [name for name in names if not re.search(rf"metrics\.{name}\b", code) and name != "BUILD"] == []


def test_every_stage_is_counted_somewhere_and_explained() -> None:
    code = "\n".join(text(module) for module in modules("app") if module.name not in ("metrics.py", "stages.py"))
    assert [stage for stage in Stage if f"TIMES[Stage.{stage.name}]" not in code] == []
    table = text("docs/OPERATIONS.md")
    assert [stage for stage in Stage if f"| `{stage.value}` |" not in table] == []
