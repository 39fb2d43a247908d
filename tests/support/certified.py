"""Keys with certificates: self-signed ones, and chains from a root, with whatever extensions a test wants."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rapidjws import JWK
from rapidjws.signing import LocalSigner
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets

KEY_USAGE = "digital_signature"


class CertifiedKey:
    """An ES256 key with an X.509 certificate.

    Args:
        name: The subject's common name.
        issuer: Who signs the certificate; itself by default.
        days: From when to when it is good, counted from now.
        is_ca: Whether it may sign others.
        path_length: How many authorities may follow, or None for any.
        usage: The KeyUsage that is asserted, or None for no such extension.
        extensions: More extensions: (extension, critical).
    """

    def __init__(
        self,
        name: str = "keys.example",
        issuer: CertifiedKey | None = None,
        *,
        days: tuple[float, float] = (-1, 30),
        is_ca: bool = False,
        path_length: int | None = None,
        usage: str | None = KEY_USAGE,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer or self
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(signer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False
            )
        )
        if is_ca or usage is not None:
            builder = builder.add_extension(key_usage("key_cert_sign" if is_ca else usage), critical=True)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """Return the certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def public_pem(self) -> str:
        """Return the public key in PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Return a token signed by this key; header members of None are left out."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signer = LocalSigner(JWK.from_pem(private, private=True), "ES256")
        members = {"alg": "ES256", **{name: value for name, value in header.items() if value is not None}}
        return assemble(header_octets(members), json.dumps(claims).encode(), signer)


def key_usage(name: str | None) -> x509.KeyUsage:
    """Return a KeyUsage that asserts one bit."""
    bits = dict.fromkeys(
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
        " crl_sign encipher_only decipher_only".split(),
        False,
    )
    return x509.KeyUsage(**{**bits, str(name): True})


def x5c_of(*chain: CertifiedKey) -> list[str]:
    """Return a chain as x5c holds it: standard base64 of DER, the leaf first."""
    return [base64.b64encode(one.der).decode() for one in chain]


LEAF_MARK = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113635.100.6.11.1"), b"\x05\x00")
ABOVE_MARK = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113635.100.6.2.1"), b"\x05\x00")
TEST_NOTIFICATION = {"notificationType": "TEST", "signedDate": int(time.time()) * 1000}


class Chain:
    """A root, an authority below it, and a leaf.

    Args:
        leaf: Settings of the leaf.
        above: Settings of the authority above it.
    """

    def __init__(self, leaf: dict[str, Any] | None = None, above: dict[str, Any] | None = None) -> None:
        self.root = CertifiedKey("root", is_ca=True, days=(-900, 900))
        self.above = CertifiedKey("above", self.root, is_ca=True, **{"days": (-800, 800), **(above or {})})
        self.leaf = CertifiedKey("leaf", self.above, **(leaf or {}))

    @property
    def x5c(self) -> list[str]:
        """Return the chain as a header has it."""
        return x5c_of(self.leaf, self.above, self.root)

    def token(self, claims: Mapping[str, Any] = TEST_NOTIFICATION, **header: Any) -> str:
        """Return a token with the chain in its header."""
        return self.leaf.token(claims, **{"x5c": self.x5c, **header})


def app_store_chain() -> Chain:
    """Return a chain with the marks of the App Store's."""
    return Chain({"extensions": [(LEAF_MARK, False)]}, {"extensions": [(ABOVE_MARK, False)]})
