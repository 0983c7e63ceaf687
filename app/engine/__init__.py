"""The deterministic matching and risk engine: pure, integers only, no I/O, clock, randomness or logging."""
