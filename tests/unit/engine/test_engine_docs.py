"""The examples of docs/ENGINE.md run, in their order, and are the engine's behavior."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "ENGINE.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[int, str]]:
    """Return each example with the line it starts at."""
    text = PAGE.read_text()
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


def run(examples: list[tuple[int, str]]) -> None:
    """Execute the examples in one namespace, as a reader would, with the page's line numbers in errors."""
    namespace: dict[str, object] = {}
    for line, source in examples:
        exec(compile("\n" * line + source, str(PAGE), "exec"), namespace)  # noqa: S102  # our own page


def test_examples_of_the_page_hold() -> None:
    assert len(blocks()) >= 10
    run(blocks())


def test_wrong_example_would_fail() -> None:
    with pytest.raises(AssertionError):
        run([*blocks(), (0, "assert balance(alice, 'USD') == (0, 0)")])
