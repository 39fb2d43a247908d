"""Tokens by the million: Arrow record batches in, verdicts and claims out."""

from rapidjws.bulk.runs import BulkReport, verify_parquet
from rapidjws.bulk.verifier import BulkVerifier

__all__ = ["BulkReport", "BulkVerifier", "verify_parquet"]
