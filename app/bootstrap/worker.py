"""The worker role: the projections of one shard, and the follower that writes its checkpoints."""

import asyncio
from collections.abc import Callable

from app.bootstrap.startup import EXIT_OK, open_journal, require_database, show_metrics, stop_event
from app.config import Settings
from app.errors import JournalDamaged
from app.projections.runner import ProjectionRunner
from app.sequencer.collector import spare_the_engine
from app.sequencer.follower import Follower
from app.storage.database import asyncpg_dsn, create_database_engine
from app.tasks import end_all


async def run_worker(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Follow the journal into the tables, and beside it with an engine, until stopped.

    Raises JournalDamaged, and a mistake of either: it is heard of, and the worker is started again.
    """
    show_metrics("worker", settings.metrics_port)
    spare_the_engine()
    stop = stop_event()
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    database = create_database_engine(settings.database_url, pool_size=1)
    announce(f"worker projects shard {settings.shard}")
    following = asyncio.create_task(_follow(Follower(journal, database, every_s=settings.checkpoint_s), stop))
    projecting = asyncio.create_task(ProjectionRunner(asyncpg_dsn(settings.database_url), settings.shard).run(stop))
    try:
        await asyncio.wait({following, projecting}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        await projecting
    finally:
        await end_all((following, projecting))
        await database.dispose()
        await journal.close()
    return EXIT_OK


async def _follow(follower: Follower, stop: asyncio.Event) -> None:
    """Follow; a diverged follower has said so, and the projections go on without it."""
    try:
        await follower.run(stop)
    except JournalDamaged:
        return
