"""What administrators do in the random streams, and the groups of features that are switched on."""

GROUPS: frozenset[str] = frozenset()
"""Enabled groups of features: their commands are made and their rare states must be reached."""
