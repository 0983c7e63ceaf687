"""What a refusal says about a wrong input."""

import msgspec
import pytest

from app.protocol.fields import DecimalText
from app.protocol.validation import invalid_request


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner


@pytest.mark.parametrize(
    ("text", "field", "status"),
    [
        ('{"inner":{"count":"x"}}', "inner.count", None),
        ('{"inner":{}}', "inner.count", None),
        ('{"inner":{"count":1,"other":2}}', "inner.other", 422),
        ('{"inner":{"count":1,"strange name!":2}}', "inner", 422),
        ("{}", "inner", None),
        ("[]", None, None),
    ],
)
def test_refusal_names_the_field(text: str, field: str | None, status: int | None) -> None:
    with pytest.raises(msgspec.ValidationError) as wrong:
        msgspec.json.decode(text, type=Outer)
    error = invalid_request(wrong.value)
    assert (error.code, error.field, error.status) == ("invalid_request", field, status)


def test_a_text_of_the_wrong_form_is_told_what_it_should_look_like() -> None:
    with pytest.raises(msgspec.ValidationError) as wrong:
        msgspec.convert({"price": "1e5"}, msgspec.defstruct("Body", [("price", DecimalText)]))
    error = invalid_request(wrong.value)
    assert (error.field, error.detail) == ("price", 'Expected a decimal as text in plain notation, like "0.25".')
