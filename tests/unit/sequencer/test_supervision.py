"""What works beside the leader: it lives as long as the leader does, or the leader ends."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest

from app.domain.commands import CreateAccount
from app.sequencer import supervision
from app.sequencer.supervision import TaskEnded, end_all, run_beside
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


async def test_a_task_that_lost_its_cancellation_is_ended_all_the_same() -> None:
    async def loses_one() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await work()
        await work()

    tasks = [asyncio.create_task(loses_one()), asyncio.create_task(fail()), asyncio.create_task(work())]
    await settle()
    await end_all(tasks)
    assert all(task.done() for task in tasks)


async def test_a_task_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "CANCEL_AGAIN_S", 0.001)
    freed = asyncio.Event()

    async def goes_on() -> None:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    task = asyncio.create_task(goes_on())
    await settle()
    async with asyncio.timeout(5):
        await end_all([task])
    assert not task.done()
    freed.set()
    await task
