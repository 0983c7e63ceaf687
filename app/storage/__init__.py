"""PostgreSQL, the truth: tables, the journal, checkpoints, and the queries of each read model."""
