"""The hot path: key table, snapshot, verifier, engine."""
