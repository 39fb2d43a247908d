"""A digest of the body in a claim: the JWS signs the claim, and so the body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.json_pointer import ABSENT, member_at, parse_pointer

DIGESTS: Final = ("sha256", "sha384", "sha512")
ENCODINGS: Final = ("hex", "base64", "base64url")


@checked(under="digest")
@dataclass(frozen=True, slots=True, kw_only=True)
class BodyDigest:
    """A claim that holds a digest of the body's octets as they came.

    Args:
        claim: The claim's JSON Pointer: ``"/request_body_sha256"``.
        algorithm: ``"sha256"``, ``"sha384"`` or ``"sha512"``.
        encoding: ``"hex"``, ``"base64"`` or ``"base64url"``; padding may be left away in the last one.
        prefix: What stands before the digest, as ``"sha256="``.
        may_lack_when_empty: Whether the claim may be left away where the body is empty.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    claim: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    may_lack_when_empty: bool = False

    def __post_init__(self) -> None:
        """Check the choices."""
        parse_pointer(self.claim, "digest.claim")
        for place, choices in (("algorithm", DIGESTS), ("encoding", ENCODINGS)):
            if getattr(self, place) not in choices:
                raise error_for("configuration_invalid", f"digest.{place}", expected=choices)

    def check(self, claims: Any, body: bytes) -> None:
        """Refuse a body whose digest is not the one that was signed.

        Raises:
            RapidJWSError: ``missing_claim``, ``malformed_claim``, or ``signature_invalid`` for another body.
        """
        place = "claims" + self.claim.replace("/", ".")
        stated = member_at(claims, parse_pointer(self.claim, "digest.claim"))
        if stated is ABSENT:
            if self.may_lack_when_empty and not body:
                return
            raise error_for("missing_claim", place, "a digest of the body")
        digest = self._decoded(stated)
        if digest is None:
            raise error_for("malformed_claim", place, f"a {self.algorithm} digest in {self.encoding}")
        if not hmac.compare_digest(digest, hashlib.new(self.algorithm, body).digest()):
            raise error_for("signature_invalid", place, "the digest of this body")

    def _decoded(self, stated: object) -> bytes | None:
        """Return the octets of a stated digest, or None where it is none."""
        size = hashlib.new(self.algorithm).digest_size
        if not isinstance(stated, str) or not stated.startswith(self.prefix) or len(stated) > 256:
            return None
        text = stated[len(self.prefix) :]
        if not text.isascii() or text != text.strip():
            return None
        try:
            if self.encoding == "hex":
                octets = bytes.fromhex(text) if len(text) == 2 * size else b""
            elif self.encoding == "base64":
                octets = base64.b64decode(text, validate=True)
            else:
                octets = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", True)
        except (ValueError, binascii.Error):
            return None
        return octets if len(octets) == size else None
