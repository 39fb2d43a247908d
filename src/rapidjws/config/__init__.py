"""One file from which issuers, rollout and server are built: its schema, and errors with line and key."""
