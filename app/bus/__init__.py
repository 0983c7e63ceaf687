"""Sequenced fan-out of committed batches: Redis Streams, and its twin in memory. Implements `protocol.ports.Bus`."""
