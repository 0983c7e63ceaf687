"""Secrets in files."""

import os
import stat
from pathlib import Path

import pytest

from app.dev.private_files import read_json, write_private, write_private_json


def test_file_is_readable_by_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        write_private(tmp_path / "secret", "text")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_replacing_a_file_leaves_the_old_text_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "new \udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_objects_come_back_as_written_and_a_missing_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    assert read_json(path) == {}
    write_private_json(path, {"port": 8000})
    assert read_json(path) == {"port": 8000}


def test_file_that_holds_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "values.json").write_text("[1]")
    with pytest.raises(ValueError, match="expected a JSON object"):
        read_json(tmp_path / "values.json")
