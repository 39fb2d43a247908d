"""Tokens by the million: Arrow record batches in, verdicts and claims out."""

from rapidjws.bulk.verifier import BulkVerifier

__all__ = ["BulkVerifier"]
