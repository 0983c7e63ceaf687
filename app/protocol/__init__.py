"""What travels: records (journal and bus), messages and channels (WebSocket), schemas (REST), codes."""
