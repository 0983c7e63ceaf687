"""Committed batches to live channels to sockets: the feed, books and tickers, private streams, sessions."""
