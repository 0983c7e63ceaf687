"""The single writer: turns queued commands into committed batches. The only stage that imports the engine."""
