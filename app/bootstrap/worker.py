"""The worker role: the projections of one shard."""

from collections.abc import Callable

from app.bootstrap.startup import EXIT_OK, open_journal, require_database, show_metrics, stop_event
from app.config import Settings
from app.projections.runner import ProjectionRunner
from app.storage.database import asyncpg_dsn


async def run_worker(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Follow the journal into the tables until stopped."""
    show_metrics("worker", settings.metrics_port)
    stop = stop_event()
    await require_database(settings.database_url)
    probe = await open_journal(settings)
    await probe.close()
    announce(f"worker projects shard {settings.shard}")
    await ProjectionRunner(asyncpg_dsn(settings.database_url), settings.shard).run(stop)
    return EXIT_OK
