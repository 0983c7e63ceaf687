"""Orderwire: a self-hosted exchange backend. The folders are the stages of the flow (docs/ARCHITECTURE.md)."""

__version__ = "0.1.0"
