"""Signed logs: bundles of entries under a Merkle root, each chained to the one before."""

from rapidjws.signedlog.bundles import LogSigner
from rapidjws.signedlog.checking import LogReport, verify_log
from rapidjws.signedlog.handler import SignedLogHandler

__all__ = ["LogReport", "LogSigner", "SignedLogHandler", "verify_log"]
