"""Vocabulary of the exchange: identifiers, enums, numbers, commands, events. Standard library and msgspec only."""
