"""What recovery writes, beside a loop that others need."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.commands import CreateAccount
from app.engine import checkpoint
from app.engine.engine import Engine
from app.protocol.records import GENESIS_HASH
from app.sequencer.recovery import Recovered, save_checkpoint
from app.storage import checkpoints
from app.storage.checkpoints import Checkpoint

ACCOUNTS = 60


async def test_others_have_their_turns_while_a_large_state_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "STEP", 3)
    written: list[tuple[Checkpoint, int]] = []
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def keep(_: AsyncEngine, saved: Checkpoint) -> None:
        written.append((saved, turns))

    monkeypatch.setattr(checkpoints, "save", keep)
    engine = Engine()
    for number in range(ACCOUNTS):
        engine.apply(CreateAccount(f"account-{number}"))
    engine.seal()
    counting = asyncio.create_task(count_turns())
    await save_checkpoint(None, 0, Recovered(engine, GENESIS_HASH, 0))  # type: ignore[arg-type]  # the store is replaced
    counting.cancel()
    ((saved, turns_before),) = written
    assert (saved.body, saved.state_hash) == (engine.checkpoint(), engine.state_hash())
    assert turns_before >= ACCOUNTS // 3
