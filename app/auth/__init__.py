"""Who is asking: access tokens, passwords, API keys and their signatures, and the people behind them."""
