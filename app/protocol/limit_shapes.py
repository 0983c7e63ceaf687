"""Limits between the wire and the engine: durations are milliseconds there and nanoseconds here."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UnsetType

from app.domain.limits import LIMITS
from app.protocol.admin_schemas import LimitChanges
from app.protocol.shapes import NS_PER_MS


def limit_changes(request: LimitChanges) -> dict[str, str | None]:
    """Return the changes that a body names, as the engine's integers in text; durations in nanoseconds."""
    changes: dict[str, str | None] = {}
    for name in LimitChanges.__struct_fields__:
        value: int | str | UnsetType | None = getattr(request, name)
        if value is msgspec.UNSET:
            continue
        if name.endswith("_ms"):
            name, value = name.removesuffix("_ms") + "_ns", None if value is None else int(value) * NS_PER_MS
        changes[name] = None if value is None else str(value)
    return changes


def limits_shape(limits: Mapping[str, str]) -> LimitChanges:
    """Return all limits of a level; what is not set is null."""
    members: dict[str, Any] = {}
    for name, info in LIMITS.items():
        value = limits.get(name)
        if info.unit == "quote":
            members[name] = value
        elif info.unit == "ns":
            members[wire_name(name)] = None if value is None else int(value) // NS_PER_MS
        else:
            members[name] = None if value is None else int(value)
    return LimitChanges(**members)


def wire_name(name: str) -> str:
    """Return the name that clients know a limit by."""
    return name.removesuffix("_ns") + "_ms" if name.endswith("_ns") else name
