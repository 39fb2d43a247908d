"""Where keys come from and how they leave: URLs, files, revocation lists, announced rotations."""

from rapidjws.keys.fetch import Answer, Fetch, FetchFailed
from rapidjws.keys.file import FileJWKS
from rapidjws.keys.hook import RotatedHook
from rapidjws.keys.remote import RemoteJWKS, SourceStatus
from rapidjws.keys.revocation import RedisRevocations, RevocationFile
from rapidjws.keys.settings import Freshness, Transport, UnknownKids

__all__ = [
    "Answer",
    "Fetch",
    "FetchFailed",
    "FileJWKS",
    "Freshness",
    "RedisRevocations",
    "RemoteJWKS",
    "RevocationFile",
    "RotatedHook",
    "SourceStatus",
    "Transport",
    "UnknownKids",
]
