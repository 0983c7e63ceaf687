"""From a request to a command, and from its outcome to an answer, for any transport."""
