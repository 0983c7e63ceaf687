"""`orderwire feed`: plays recorded order flow into a running server through its public API, and checks every answer."""
