"""Where keys come from: URLs, files, cached sets, announced rotations."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.keys.cached_jwks import CachedJWKSVerifier
    from rapidjws.keys.fetch import Answer, Fetch, FetchFailed
    from rapidjws.keys.file import FileJWKS
    from rapidjws.keys.hook import RotatedHook
    from rapidjws.keys.remote import RemoteJWKS, SourceStatus
    from rapidjws.keys.settings import Freshness, Transport, UnknownKids
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.keys.fetch": ("Answer", "Fetch", "FetchFailed"),
            "rapidjws.keys.file": ("FileJWKS",),
            "rapidjws.keys.hook": ("RotatedHook",),
            "rapidjws.keys.cached_jwks": ("CachedJWKSVerifier",),
            "rapidjws.keys.remote": ("RemoteJWKS", "SourceStatus"),
            "rapidjws.keys.settings": ("Freshness", "Transport", "UnknownKids"),
        },
    )

__all__ = [
    "Answer",
    "CachedJWKSVerifier",
    "Fetch",
    "FetchFailed",
    "FileJWKS",
    "Freshness",
    "RemoteJWKS",
    "RotatedHook",
    "SourceStatus",
    "Transport",
    "UnknownKids",
]
