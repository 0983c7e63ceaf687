"""The examples of docs/ENGINE.md and of the pages below it run, in their order, and are the engine's behavior."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "ENGINE.md", *sorted((DOCS / "engine").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """Return each example of a page with the line it starts at."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


def run(page: Path, examples: list[tuple[int, str]]) -> None:
    """Execute the examples in one namespace, as a reader would, with the page's line numbers in errors."""
    namespace: dict[str, object] = {}
    for line, source in examples:
        exec(compile("\n" * line + source, str(page), "exec"), namespace)  # noqa: S102  # our own page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page_hold(page: Path) -> None:
    assert len(blocks(page)) >= 4
    run(page, blocks(page))


def test_wrong_example_would_fail() -> None:
    page = PAGES[0]
    with pytest.raises(AssertionError):
        run(page, [*blocks(page), (0, "assert balance(alice, 'USD') == (0, 0)")])
