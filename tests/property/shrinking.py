"""Makes a failing stream small: delta debugging over its steps."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from app.domain.commands import Command
from tests.property.duel import Disagreement, Run, replay

T = TypeVar("T")

TRIALS_MAX = 2_000
"""Replays spent on one counterexample."""


def shrunk(steps: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return steps that still fail and of which, within the trials, no chunk can be left out."""
    kept, chunk, trials = list(steps), max(1, len(steps) // 2), 0
    while trials < TRIALS_MAX:
        removed = False
        start = 0
        while start < len(kept) and trials < TRIALS_MAX:
            trial = kept[:start] + kept[start + chunk :]
            trials += 1
            if fails(trial):
                kept, removed = trial, True
            else:
                start += chunk
        if chunk == 1 and not removed:
            break
        chunk = max(1, chunk // 2)
    return kept


def explain(run: Run) -> str:
    """Return the shrunk counterexample of a failed run, with its seed."""
    kept = shrunk(run.steps, lambda steps: replay(run.profile, steps) is not None)
    disagreement: Disagreement | None = replay(run.profile, kept)
    lines = [f"seed {run.seed}: {len(run.steps)} commands, shrunk to {len(kept)}", f"{run.profile}"]
    lines += [f"{'' if step.pause_ns is None else pause(step.pause_ns):>12} {spelled(step.command)}" for step in kept]
    lines.append(str(disagreement or run.disagreement))
    return "\n".join(lines)


def pause(nanoseconds: int) -> str:
    """Return the time before a batch as text."""
    return f"+{nanoseconds / 10**9:.3f} s"


def spelled(command: Command) -> str:
    """Return a command as text, without the fields that have their default."""
    fields = msgspec.structs.fields(command)
    given = [(field.name, getattr(command, field.name)) for field in fields]
    differing = [
        f"{name}={value!s}" for (name, value), field in zip(given, fields, strict=True) if value != field.default
    ]
    return f"{type(command).__name__}({', '.join(differing)})"
