"""Journal to tables: read models that can be rebuilt from the first row on."""
