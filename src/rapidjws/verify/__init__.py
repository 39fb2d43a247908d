"""One verification: key table, key selection, snapshot, precomputed keys, worker pool, results."""
