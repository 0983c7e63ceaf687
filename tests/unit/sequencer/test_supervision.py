"""What works beside the leader: it lives as long as the leader does, or the leader ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from app.domain.commands import CreateAccount
from app.sequencer.supervision import TaskEnded, run_beside
from tests.unit.sequencer.hand_driven import Leader, settle


async def fail() -> None:
    raise ValueError("a bug")


async def end() -> None:
    return


async def work() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("helper", "reason"), [(fail, "publisher.*a bug"), (end, "publisher ended by itself: None")])
async def test_a_leader_ends_with_what_works_beside_it_and_commits_what_it_took(helper: Any, reason: str) -> None:
    leader, went_wrong = Leader(), asyncio.Event()

    async def later(then: Coroutine[Any, Any, None]) -> None:
        await went_wrong.wait()
        await then

    beside = [asyncio.create_task(work()), asyncio.create_task(later(helper()), name="publisher")]
    leading = asyncio.create_task(run_beside(leader.sequencer, beside, asyncio.Event()))
    taken = leader.submit(CreateAccount("a"))
    await settle()
    went_wrong.set()
    await settle()
    refused = leader.submit(CreateAccount("b"))
    assert not leading.done()
    await leader.commit()
    with pytest.raises(TaskEnded, match=reason):
        await leading
    assert (list(leader.answers()), list(leader.refusals())) == ([taken], [refused])
    beside[0].cancel()


async def test_a_leader_that_is_stopped_has_lost_nothing() -> None:
    leader, stop = Leader(), asyncio.Event()
    beside = [asyncio.create_task(work())]
    leading = asyncio.create_task(run_beside(leader.sequencer, beside, stop))
    await settle()
    stop.set()
    await leading
    assert not beside[0].done()
    beside[0].cancel()
