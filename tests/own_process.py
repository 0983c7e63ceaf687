"""What a role changes of the whole process that it runs in, put back: in a test the process is not its own."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app import metrics

SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@contextmanager
def process_kept() -> Iterator[None]:
    """Keep the metrics that are shown, the collector's settings and the server's loggers as they were."""
    shown = dict(metrics.REGISTRY._collector_to_names)
    levels = {name: logging.getLogger(name).level for name in SERVER_LOGGERS}
    thresholds, enabled = gc.get_threshold(), gc.isenabled()
    try:
        yield
    finally:
        for collector in [known for known in metrics.REGISTRY._collector_to_names if known not in shown]:
            metrics.REGISTRY.unregister(collector)
        for collector in [known for known in shown if known not in metrics.REGISTRY._collector_to_names]:
            metrics.REGISTRY.register(collector)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        if enabled:
            gc.enable()
