"""A stack per test."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.stack import Stack, running_stack


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    async with running_stack() as running:
        yield running
