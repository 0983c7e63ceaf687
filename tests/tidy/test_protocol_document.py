"""docs/PROTOCOL.md and the code promise the same codes, routes, actions, frames and words."""

import re
from enum import StrEnum
from types import SimpleNamespace
from typing import cast, get_args

import pytest

from app.api.openapi import document
from app.api.rate_limits import RateLimits
from app.domain.enums import OrderReason, RejectReason, TimeInForce
from app.domain.events import PrivateEvent
from app.main import Services, create_app
from app.protocol.close_codes import Close
from app.protocol.codes import CODES
from app.protocol.messages import AnyClientMessage, ServerFrame
from tests.tidy.tree import text

PROMISED, NOT_YET = text("docs/PROTOCOL.md").split("\n## Not yet\n")
NO_SCHEMA = {("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs")}
"""Routes that serve documents rather than data."""


def section(title: str) -> str:
    """Return the text under a heading of the second or third level."""
    found = re.search(rf"^##+ {title}.*?\n(.*?)(?=^##+ |\Z)", PROMISED, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def words(value: str) -> set[str]:
    """Return everything between backticks."""
    return set(re.findall(r"`([^`\n]+)`", value))


def subclasses(base: type) -> set[type]:
    children: list[type] = base.__subclasses__()
    return {base}.union(*(subclasses(child) for child in children))


def tags(structs: set[type] | tuple[type, ...]) -> set[str]:
    """Return the tags under which structs travel, bases without one left out."""
    tagged = {struct.__struct_config__.tag for struct in structs}  # type: ignore[attr-defined]  # all are Structs
    return {tag for tag in tagged if tag and tag[0].islower()}


def test_every_code_is_listed_with_its_status_and_whether_a_repetition_helps() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| (yes|no) \|", section("One error object"), re.MULTILINE)
    documented = {code: (int(status), retryable == "yes") for code, status, retryable in rows}
    assert documented == {code: (info.status, info.retryable) for code, info in CODES.items()}


def test_every_reject_reason_is_a_code() -> None:
    assert {reason.value for reason in RejectReason} - set(CODES) == set()


def test_every_route_is_listed_and_every_listed_route_exists() -> None:
    services = cast(Services, SimpleNamespace(stream=None, rate_limits=RateLimits()))
    paths = document(create_app(services))["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    first_cells = re.findall(r"^\| ((?:GET|POST|PATCH|DELETE) /[^|]+) \|", section("REST"), re.MULTILINE)
    listed = {
        (method, path)
        for cell in first_cells
        for method, path in re.findall(r"(GET|POST|PATCH|DELETE) (/\S+?),? ", f"{cell} ")
    }
    assert listed == served | NO_SCHEMA


def test_every_action_is_listed_with_its_members() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", section("WebSocket"), re.MULTILINE)
    listed = {action: words(members) for action, members in rows if not action.isdigit()}
    messages = {struct.__struct_config__.tag: struct for struct in get_args(AnyClientMessage)}
    assert set(listed) == set(messages)
    for action, struct in messages.items():
        if action != "order.amend":
            assert set(struct.__struct_fields__) - {"id"} <= listed[action], action


def test_every_frame_of_the_server_is_described() -> None:
    described = section("WebSocket") + section("Order book") + section("Private channels") + section("Liveness")
    missing = {tag for tag in tags(subclasses(ServerFrame)) if not re.search(rf'["`]{tag}\b', described)}
    assert missing == set()


def test_every_private_event_is_listed() -> None:
    listed = {
        word
        for word in words(section("Private channels"))
        if re.fullmatch(r"(order|trade|balance|position|cancel_after)\.[a-z_]+", word)
    }
    assert listed == tags(get_args(PrivateEvent))


def test_every_close_code_is_listed() -> None:
    listed = re.findall(r"^\| (\d{4}) \|", section("Liveness"), re.MULTILINE)
    assert [int(code) for code in listed] == sorted(Close)


@pytest.mark.parametrize("enum", [OrderReason, TimeInForce])
def test_every_word_of_a_closed_set_is_documented(enum: type[StrEnum]) -> None:
    assert {member.value for member in enum} - words(PROMISED) - words(NOT_YET) == set()
