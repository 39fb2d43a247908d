"""A client of AWS KMS with one key, for the walk over public callables."""

from __future__ import annotations

from typing import Any

from issuing_world import pair


class StubKms:
    """A client of a KMS with one key."""

    def get_public_key(self, **_: Any) -> dict[str, Any]:
        """Return the key."""
        from cryptography.hazmat.primitives import serialization

        from rapidjws.jose.pyca_keys import private_key

        der = (
            private_key(pair("ES256", 0))
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return {"KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ECDSA_SHA_256"], "PublicKey": der}

    def sign(self, **given: Any) -> dict[str, Any]:
        """Sign in DER."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        from rapidjws.jose.pyca_keys import private_key

        signed = private_key(pair("ES256", 0)).sign(given["Message"], ec.ECDSA(hashes.SHA256()))
        return {"Signature": signed}
