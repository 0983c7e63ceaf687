"""Exact conversion between decimal text and integer steps, without float or Decimal.

The wire speaks decimal strings, the engine integers. Input is bounded before any arithmetic
(40 characters), so no text can make a conversion slow. Used at the edge and when an
instrument is created.
"""

import re
from typing import NamedTuple

DECIMAL_CHARACTERS_MAX = 40
DECIMAL_PATTERN = r"^(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z"
SCALE_MAX = 18
"""Most decimal places of an asset, a tick size or a lot size."""

_DECIMAL = re.compile(DECIMAL_PATTERN, re.ASCII)


class Step(NamedTuple):
    """Smallest step of a number: `mantissa * 10**-scale`, e.g. 0.05 is Step(5, 2)."""

    mantissa: int
    scale: int


def parse_decimal(text: str) -> Step | None:
    """Return the number as mantissa and scale without needless zeros, or None if it is not in the wire's grammar."""
    if len(text) > DECIMAL_CHARACTERS_MAX or _DECIMAL.match(text) is None:
        return None
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return Step(int(whole + fraction), len(fraction))


def plain_text(text: str) -> str:
    """Return a number that is in the wire's grammar without needless zeros."""
    number = parse_decimal(text)
    assert number is not None, "expected a decimal in plain notation"
    return format_scaled(number.mantissa, number.scale)


def to_steps(text: str, step: Step) -> int | None:
    """Return how many steps the number is, or None if it is malformed or not an exact multiple."""
    number = parse_decimal(text)
    return None if number is None else count_steps(number, step)


def count_steps(number: Step, step: Step) -> int | None:
    """Return how many steps a number is, or None if it is not an exact multiple."""
    finer = max(number.scale, step.scale)
    steps, rest = divmod(number.mantissa * 10 ** (finer - number.scale), step.mantissa * 10 ** (finer - step.scale))
    return None if rest else steps


def format_scaled(value: int, scale: int) -> str:
    """Return `value * 10**-scale` in plain notation without needless zeros."""
    if scale == 0:
        return str(value)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(scale + 1, "0")
    fraction = digits[-scale:].rstrip("0")
    return f"{sign}{digits[:-scale]}.{fraction}" if fraction else sign + digits[:-scale]


def format_steps(steps: int, step: Step) -> str:
    """Return the decimal text of a number of steps."""
    return format_scaled(steps * step.mantissa, step.scale)
