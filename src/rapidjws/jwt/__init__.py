"""The JWT level: issuers, claims, keys that change, revocation and replay, micro batches, decisions."""
