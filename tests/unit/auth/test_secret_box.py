"""Secrets at rest open only under their key and in their row."""

import pytest

from app.auth.secret_box import BoxDamaged, SecretBox, derived_key
from app.errors import StartupError

KEY_SECRET = "k" * 32


def test_secret_comes_back_under_the_same_key_and_row() -> None:
    box = SecretBox(KEY_SECRET).seal("hush", bound_to="ow_1")
    assert b"hush" not in box
    assert SecretBox(KEY_SECRET).open(box, bound_to="ow_1") == "hush"


def test_equal_secrets_get_different_boxes() -> None:
    box = SecretBox(KEY_SECRET)
    assert box.seal("hush", bound_to="ow_1") != box.seal("hush", bound_to="ow_1")


def test_box_moved_to_another_row_does_not_open() -> None:
    box = SecretBox(KEY_SECRET)
    with pytest.raises(BoxDamaged, match="ow_2"):
        box.open(box.seal("hush", bound_to="ow_1"), bound_to="ow_2")


def test_box_of_another_key_does_not_open() -> None:
    with pytest.raises(BoxDamaged):
        SecretBox("x" * 32).open(SecretBox(KEY_SECRET).seal("hush", bound_to="a"), bound_to="a")


@pytest.mark.parametrize("position", [0, 11, 12, -1])
def test_flipped_byte_is_noticed(position: int) -> None:
    box = SecretBox(KEY_SECRET)
    damaged = bytearray(box.seal("hush", bound_to="a"))
    damaged[position] ^= 1
    with pytest.raises(BoxDamaged):
        box.open(bytes(damaged), bound_to="a")


@pytest.mark.parametrize("size", [0, 5, 12, 20])
def test_truncated_box_is_noticed(size: int) -> None:
    box = SecretBox(KEY_SECRET)
    with pytest.raises(BoxDamaged):
        box.open(box.seal("hush", bound_to="a")[:size], bound_to="a")


def test_short_key_secret_is_refused_at_start() -> None:
    with pytest.raises(StartupError, match="KEY_SECRET"):
        SecretBox("x" * 31)


def test_each_purpose_has_its_own_key() -> None:
    assert derived_key(KEY_SECRET, b"a", name="X") != derived_key(KEY_SECRET, b"b", name="X")
