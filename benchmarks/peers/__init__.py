"""Open matching engines on the same generated flow as ours, in the same run."""
