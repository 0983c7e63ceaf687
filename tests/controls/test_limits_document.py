"""docs/engine/limits.md has every control once, with codes, metrics and settings that exist."""

import re
from typing import NamedTuple

import pytest

from app import stages
from app.domain.commands import GuardSession, PlaceOrder, SetCancelAfter, SetKillSwitch, UpdateAccount
from app.domain.enums import OrderReason, RejectReason
from app.domain.instrument import Instrument
from app.domain.limits import LIMITS
from app.metrics import ORDERS, ORDERS_ENDED, TRADES_PREVENTED
from app.protocol.codes import CODES
from tests.controls.cases import CASES, ENDINGS
from tests.controls.limit_cases import LIMIT_CASES
from tests.tidy.tree import text

PAGE = "docs/engine/limits.md"
CONTROLS = [f"C{number}" for number in range(1, 21)]
NAME = re.compile(r"`([^`]+)`")
ON_ALL_LEVELS = "exchange, tier, account: "
METRICS = {
    *(f"{each.name}_total" for counter in (ORDERS, ORDERS_ENDED, TRADES_PREVENTED) for each in counter.describe()),
    stages.NAME,
}
SETTINGS = {
    *(name for struct in (Instrument, PlaceOrder, UpdateAccount) for name in struct.__struct_fields__),
    *LIMITS,
    *(command.__name__ for command in (SetKillSwitch, SetCancelAfter, GuardSession)),
}


class Line(NamedTuple):
    """One control of the table."""

    codes: set[str]
    metrics: set[str]
    settings: str


def table() -> dict[str, Line]:
    """Return the table by control; each of them has one line."""
    found: dict[str, Line] = {}
    for line in text(PAGE).split("## Every control with its code")[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        control = cells[0].split(" ")[0]
        if control.startswith("C") and len(cells) == 4:
            assert control not in found, f"{control} is there twice"
            found[control] = Line(set(NAME.findall(cells[1])), set(NAME.findall(cells[2])), cells[3])
    return found


LINES = table()


def limits_of(line: Line) -> set[str]:
    """Return the limits that a line has on all three levels."""
    parts = line.settings.split("; ")
    return {name for part in parts if part.startswith(ON_ALL_LEVELS) for name in NAME.findall(part)}


def test_table_has_every_control_in_its_order() -> None:
    assert list(LINES) == CONTROLS


@pytest.mark.parametrize("control", CONTROLS)
def test_codes_of_a_control_exist_and_are_counted_by_its_metrics(control: str) -> None:
    line = LINES[control]
    refusals, endings = set(RejectReason) & line.codes, set(OrderReason) & line.codes
    assert refusals | endings == line.codes
    assert refusals <= CODES.keys()
    assert line.metrics <= METRICS
    assert line.metrics
    if refusals - endings:
        assert "orderwire_orders_total" in line.metrics
    if endings - refusals:
        assert "orderwire_orders_ended_total" in line.metrics


@pytest.mark.parametrize("control", CONTROLS)
def test_settings_of_a_control_exist(control: str) -> None:
    assert set(NAME.findall(LINES[control].settings)) <= SETTINGS


@pytest.mark.parametrize("control", CONTROLS)
def test_table_says_what_the_tested_controls_do(control: str) -> None:
    line = LINES[control]
    limited = {name for name, case in LIMIT_CASES.items() if case.control == control}
    assert limits_of(line) == limited
    tested = {LIMITS[name].reason.value for name in limited}
    tested |= {case.code.value for case in CASES if case.control == control}
    tested |= {ending.reason.value for ending in ENDINGS if ending.control == control}
    assert tested <= line.codes
