"""Make signatures: a Signer signs octets, the serializations put them into tokens."""

from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import LocalSigner, Signer

__all__ = ["LocalSigner", "Signer", "sign_compact"]
