"""Loading on first use: shared, told of failures, repeated while wanted."""

import asyncio

import pytest

from app.errors import ApiError, LinkError
from app.streaming import activation as activation_module
from app.streaming.activation import Activation
from tests.unit.streaming.client import until


class Loader:
    def __init__(self) -> None:
        self.loads = 0
        self.is_loaded = False
        self.wanted = True
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.activation = Activation("it", self.load, lambda: self.wanted and not self.is_loaded)

    async def load(self) -> None:
        self.loads += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.is_loaded = True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_module, "RETRY_FIRST_S", 0.005)


async def test_all_who_wait_share_one_load() -> None:
    loader = Loader()
    loader.gate.clear()
    waiting = [asyncio.create_task(loader.activation.once()) for _ in range(5)]
    loader.activation.keep_trying()
    await asyncio.sleep(0.01)
    loader.gate.set()
    await asyncio.gather(*waiting)
    assert loader.loads == 1


async def test_caller_who_gives_up_leaves_the_load_to_the_others() -> None:
    loader = Loader()
    loader.gate.clear()
    first, second = (asyncio.create_task(loader.activation.once()) for _ in range(2))
    await asyncio.sleep(0.005)
    first.cancel()
    await asyncio.sleep(0)
    loader.gate.set()
    await second
    assert loader.is_loaded


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ApiError("engine_unavailable", "none leads"), "engine_unavailable"),
        (LinkError("lost", sent=True), "service_unavailable"),
        (ConnectionRefusedError(), "service_unavailable"),
        (KeyError("driver"), "service_unavailable"),
    ],
)
async def test_caller_is_told_of_a_failure(fault: Exception, code: str) -> None:
    loader = Loader()
    loader.fault = fault
    with pytest.raises(ApiError) as refused:
        await loader.activation.once()
    assert refused.value.code == code


async def test_background_load_repeats_until_it_succeeds() -> None:
    loader = Loader()
    loader.fault = ApiError("service_unavailable", "down")
    loader.activation.keep_trying()
    await until(lambda: loader.loads >= 3)
    loader.fault = None
    await until(lambda: loader.is_loaded)


async def test_background_load_ends_when_nobody_wants_it() -> None:
    loader = Loader()
    loader.fault = ApiError("service_unavailable", "down")
    loader.activation.keep_trying()
    await until(lambda: loader.loads >= 2)
    loader.wanted = False
    await asyncio.sleep(0.05)
    loads = loader.loads
    await asyncio.sleep(0.05)
    assert loader.loads == loads


async def test_state_lost_again_while_the_background_load_ends_is_loaded_again() -> None:
    loader = Loader()
    loader.activation.keep_trying()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # Loaded, but the background task has not looked yet.
    loader.is_loaded = False
    loader.activation.keep_trying()
    await until(lambda: loader.is_loaded)


async def test_stop_ends_a_load_that_hangs() -> None:
    loader = Loader()
    loader.gate.clear()
    loader.activation.keep_trying()
    await until(lambda: loader.loads == 1)
    await loader.activation.stop()
    assert not loader.is_loaded
