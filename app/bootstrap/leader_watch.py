"""Looks after the leader's surroundings once a second: standbys, worker, free space and bus; tells replicas of changes.

The questions go over a connection of their own: one that a frozen server does not answer is cut, and
must not take the leader's lock with it.
"""

import asyncio
import os
from collections.abc import Callable, Sequence

import structlog

from app import metrics
from app.errors import JournalUnavailable
from app.protocol.modes import RANK, Part
from app.sequencer.modes import LeaderModes
from app.sequencer.publisher import Publisher
from app.storage.leader_lock import LeaderLock
from app.tasks import end_all

LOOK_S = 0.25
"""Between two judgments; what needs a question is asked every QUESTION_S."""
QUESTION_S = 1.0

log = structlog.get_logger(__name__)


async def watch_leader(
    modes: LeaderModes, publisher: Publisher, server: LeaderLock, paths: Sequence[str], tell: Callable[[], None]
) -> None:
    """Judge until canceled; `tell` is called after each change. Without paths the database's folder is measured."""
    asking = asyncio.create_task(_ask_for_ever(modes, server, paths))
    try:
        while not asking.done():
            modes.bus_fault = publisher.fault
            if modes.evaluate():
                log.warning("mode", mode=modes.mode.value, reasons=[finding.text for finding in modes.findings])
                tell()
            show(modes)
            await asyncio.sleep(LOOK_S)
        # It asks for ever: what ended it is raised here.
        asking.result()
    finally:
        await end_all([asking])


def show(modes: LeaderModes) -> None:
    """Set the metrics of the modes."""
    metrics.MODE.set(RANK[modes.mode])
    wrong = {finding.part for finding in modes.findings}
    for part in (Part.DATABASE, Part.REDIS, Part.STANDBY, Part.DISK, Part.REOPENING, Part.PROJECTION):
        metrics.PART_OK.labels(part.value).set(part not in wrong)
    if modes.disk_free is not None:
        metrics.DISK_FREE_RATIO.set(modes.disk_free)
    if modes.projection_lag_s is not None:
        metrics.PROJECTION_LAG_SECONDS.set(modes.projection_lag_s)


async def _ask_for_ever(modes: LeaderModes, server: LeaderLock, paths: Sequence[str]) -> None:
    measured: Sequence[str] | None = paths or None
    while True:
        try:
            modes.standbys = await server.standbys()
            modes.projection_lag_s = await server.projection_lag_s()
            if measured is None:
                measured = await _local_data_folder(server)
        except JournalUnavailable as error:
            # Silence of the database has a finding of its own.
            log.debug("leader_watch_waits_for_postgresql", reason=str(error))
        if measured:
            before, modes.disk_free = modes.disk_free, await asyncio.to_thread(free_share, measured)
            if modes.disk_free is None and before is not None:
                log.warning("disk_not_measured", paths=measured)
        await asyncio.sleep(QUESTION_S)


async def _local_data_folder(server: LeaderLock) -> list[str]:
    """Return the database's folder if it is on this machine and we may know it, else nothing."""
    if server.is_local:
        folder = await server.data_directory()
        if await asyncio.to_thread(os.path.isdir, folder):
            return [folder]
    log.warning("disk_not_measured", hint="set ORDERWIRE_DISK_PATHS to folders on the database's volumes")
    return []


def free_share(paths: Sequence[str]) -> float | None:
    """Return the free share of the fullest volume, 0 to 1, as an unprivileged writer sees it; None if unknown."""
    shares = []
    for path in paths:
        try:
            volume = os.statvfs(path)
        except OSError:
            return None
        if volume.f_blocks:
            shares.append(volume.f_bavail / volume.f_blocks)
    return min(shares, default=None)
