"""Where keys come from: URLs, files, cached sets, announced rotations."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.keys.cached_jwks import CachedJWKSVerifier
    from rapidjws.keys.certificates import RemoteCertificates
    from rapidjws.keys.discovered import DiscoveredJWKS
    from rapidjws.keys.fetch import Answer, Fetch
    from rapidjws.keys.fetch_failed import FetchFailed
    from rapidjws.keys.file import FileJWKS
    from rapidjws.keys.hook import RotatedHook
    from rapidjws.keys.pem_by_kid import RemotePEM
    from rapidjws.keys.pem_files import PEMFiles
    from rapidjws.keys.remote import RemoteJWKS
    from rapidjws.keys.settings import Freshness, Transport, UnknownKids
    from rapidjws.keys.source_status import SourceStatus
    from rapidjws.keys.spiffe import SpiffeBundle
    from rapidjws.keys.x5c import X5CKeys
    from rapidjws.keys.x5c_policy import X5CPolicy
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.keys.certificates": ("RemoteCertificates",),
            "rapidjws.keys.discovered": ("DiscoveredJWKS",),
            "rapidjws.keys.pem_by_kid": ("RemotePEM",),
            "rapidjws.keys.pem_files": ("PEMFiles",),
            "rapidjws.keys.spiffe": ("SpiffeBundle",),
            "rapidjws.keys.x5c": ("X5CKeys",),
            "rapidjws.keys.x5c_policy": ("X5CPolicy",),
            "rapidjws.keys.fetch": ("Answer", "Fetch"),
            "rapidjws.keys.fetch_failed": ("FetchFailed",),
            "rapidjws.keys.file": ("FileJWKS",),
            "rapidjws.keys.hook": ("RotatedHook",),
            "rapidjws.keys.cached_jwks": ("CachedJWKSVerifier",),
            "rapidjws.keys.remote": ("RemoteJWKS",),
            "rapidjws.keys.settings": ("Freshness", "Transport", "UnknownKids"),
            "rapidjws.keys.source_status": ("SourceStatus",),
        },
    )

__all__ = [
    "Answer",
    "CachedJWKSVerifier",
    "DiscoveredJWKS",
    "Fetch",
    "FetchFailed",
    "FileJWKS",
    "Freshness",
    "PEMFiles",
    "RemoteCertificates",
    "RemoteJWKS",
    "RemotePEM",
    "RotatedHook",
    "SourceStatus",
    "SpiffeBundle",
    "Transport",
    "UnknownKids",
    "X5CKeys",
    "X5CPolicy",
]
