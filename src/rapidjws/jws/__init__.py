"""The JWS level: every serialization, detached and streamed content, policies over several signatures."""
