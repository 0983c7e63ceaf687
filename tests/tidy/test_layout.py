"""docs/ARCHITECTURE.md shows the folders as they are, and every document's links lead somewhere."""

import re

from tests.tidy.tree import ROOT, text, tracked

TOP_LEVEL_FOLDERS = {"app", "migrations", "tests", "sdk", "benchmarks", "deploy", "docs"}


def shown() -> tuple[set[str], set[str]]:
    """Return the folders of app/ and those of the top level that the layout shows."""
    block = text("docs/ARCHITECTURE.md").split("## Layout")[1].split("\nBeside the folders")[0]
    inner = set(re.findall(r"^      ([a-z_]+)/", block, re.MULTILINE))
    top = set(re.findall(r"^    ([a-z_]+)/", block, re.MULTILINE))
    return inner, top


def test_layout_shows_the_folders_of_the_application() -> None:
    folders = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    assert shown()[0] == folders


def test_layout_shows_the_top_level_folders() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert shown()[1] == folders
    assert folders <= TOP_LEVEL_FOLDERS


def test_links_of_the_documents_lead_to_files() -> None:
    documents = [path for path in tracked() if path.suffix == ".md"]
    broken = [
        f"{document}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#\s]+)", text(document))
        if "://" not in link and not (ROOT / document.parent / link).exists()
    ]
    assert broken == []


def test_every_decision_record_is_listed_and_has_its_parts() -> None:
    records = sorted(path for path in (ROOT / "docs" / "adr").glob("0*.md"))
    index = text("docs/adr/README.md")
    for number, record in enumerate(records, 1):
        assert record.name.startswith(f"{number:04d}-")
        assert f"]({record.name})" in index
        content = record.read_text()
        headings = re.findall(r"^## (.+)$", content, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives considered"], record.name
        assert re.search(r"^Status: (proposed|accepted|superseded)", content, re.MULTILINE), record.name
