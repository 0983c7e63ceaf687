"""The servers of the chaos tests, for engines that are broken on purpose."""

from tests.chaos.conftest import empty_database, own_servers

__all__ = ["empty_database", "own_servers"]
