"""A leader per test."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.sequencer.hand_driven import Leader, settle


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    made = Leader()
    running = asyncio.create_task(made.sequencer.run())
    await settle()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
