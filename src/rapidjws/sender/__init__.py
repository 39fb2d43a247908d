"""Sender-constrained tokens: DPoP (RFC 9449) and certificate-bound tokens (RFC 8705)."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names

if TYPE_CHECKING:
    from rapidjws.sender.client_certificate import ClientCertificate
    from rapidjws.sender.constraints import SenderConstraints
    from rapidjws.sender.dpop import DPoP
    from rapidjws.sender.dpop_nonce import DPoPNonces
    from rapidjws.sender.request import SenderRequest
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.sender.client_certificate": ("ClientCertificate",),
            "rapidjws.sender.constraints": ("SenderConstraints",),
            "rapidjws.sender.dpop": ("DPoP",),
            "rapidjws.sender.dpop_nonce": ("DPoPNonces",),
            "rapidjws.sender.request": ("SenderRequest",),
        },
    )

__all__ = [
    "ClientCertificate",
    "DPoP",
    "DPoPNonces",
    "SenderConstraints",
    "SenderRequest",
]
