"""Where keys come from and how they leave: URLs, files, revocation lists, announced rotations."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.keys.cached_jwks import KeptVerifier
    from rapidjws.keys.fetch import Answer, Fetch, FetchFailed
    from rapidjws.keys.file import FileJWKS
    from rapidjws.keys.hook import RotatedHook
    from rapidjws.keys.remote import RemoteJWKS, SourceStatus
    from rapidjws.keys.revocation import RevocationFile
    from rapidjws.keys.revocation_redis import RedisRevocations
    from rapidjws.keys.settings import Freshness, Transport, UnknownKids
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.keys.fetch": ("Answer", "Fetch", "FetchFailed"),
            "rapidjws.keys.file": ("FileJWKS",),
            "rapidjws.keys.hook": ("RotatedHook",),
            "rapidjws.keys.cached_jwks": ("KeptVerifier",),
            "rapidjws.keys.remote": ("RemoteJWKS", "SourceStatus"),
            "rapidjws.keys.revocation": ("RevocationFile",),
            "rapidjws.keys.revocation_redis": ("RedisRevocations",),
            "rapidjws.keys.settings": ("Freshness", "Transport", "UnknownKids"),
        },
    )

__all__ = [
    "Answer",
    "Fetch",
    "FetchFailed",
    "FileJWKS",
    "Freshness",
    "KeptVerifier",
    "RedisRevocations",
    "RemoteJWKS",
    "RevocationFile",
    "RotatedHook",
    "SourceStatus",
    "Transport",
    "UnknownKids",
]
