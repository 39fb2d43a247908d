"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): what a log's key says of its tree.

Ed25519 keys are written and read as golang.org/x/mod/sumdb/note does, those of ES256 (a KMS, an HSM) as the
signature type 0x02 of signed-note: ECDSA over SHA-256 in DER, whose key id is a hash of the key alone. Other
algorithms have the signature type 0xff with a name of ours.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rapidjws._checks import checked
from rapidjws.audit.merkle import HASH_BYTES, SIZE_MAX
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import signature_from_der
from rapidjws.signing.signer import Signer
from rapidjws.verify.raw import verify_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

ED25519_TYPE: Final = b"\x01"
ECDSA_TYPE: Final = b"\x02"
OTHER_TYPE: Final = b"\xffrapidjws "
NOTE_MAX_BYTES: Final = 64 * 1024
ORIGIN: Final = re.compile(r"[!-*,-~]{1,200}")
"""Visible ASCII without a plus sign, which ends a key's name."""

_DASH: Final = "— "
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")


def _b64(text: str) -> bytes | None:
    """Return the octets of standard base64 in its one spelling, or None."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if base64.b64encode(octets).decode() == text else None


@checked
@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key that verifies notes, with its name.

    Args:
        name: The name: for a log, its origin.
        jwk: The public key.
        alg: Its algorithm.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    name: str
    jwk: JWK
    alg: str

    def __post_init__(self) -> None:
        """Check the name and that the key serves the algorithm."""
        if ORIGIN.fullmatch(self.name) is None:
            raise error_for("configuration_invalid", "name", "visible ASCII without +, as example.com/log")
        if self.alg not in self.jwk.algorithms or self.jwk.kty == "oct":
            raise error_for("configuration_invalid", "alg", str(self.jwk.algorithms), self.alg)

    @property
    def _material(self) -> bytes:
        public = pyca_keys.public_key(self.jwk)
        if self.alg in ("EdDSA", "Ed25519") and self.jwk.crv == "Ed25519":
            return ED25519_TYPE + bytes(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
        der = bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return (ECDSA_TYPE if self._is_ecdsa else OTHER_TYPE + self.alg.encode("ascii") + b"\0") + der

    @property
    def _is_ecdsa(self) -> bool:
        """Return whether signatures are of type 0x02."""
        return self.alg == "ES256"

    @property
    def key_id(self) -> bytes:
        """Return the four octets by which a signature names this key."""
        material = self._material
        if self._is_ecdsa:  # signed-note, signature types: of the public key alone
            return sha256(material[1:]).digest()[:4]
        return sha256(self.name.encode("ascii") + b"\n" + material).digest()[:4]

    @property
    def text(self) -> str:
        """Return the key as one word: name, id and public key, as Go's note package has it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._material).decode()}"

    @classmethod
    @checked
    def from_text(cls, text: str) -> NoteKey:
        """Return the key of one word, as ``text`` gives it.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        name, _, rest = text.strip().partition("+")
        given_id, _, encoded = rest.partition("+")
        material = _b64(encoded) or b""
        try:
            if material[:1] == ED25519_TYPE and len(material) == 1 + 32:
                x = base64.urlsafe_b64encode(material[1:]).rstrip(b"=").decode()
                found = cls(name, JWK.from_json({"kty": "OKP", "crv": "Ed25519", "x": x}), "EdDSA")
            elif material[:1] == ECDSA_TYPE:
                found = cls(name, JWK.from_der(material[1:]), "ES256")
            elif material.startswith(OTHER_TYPE):
                alg, _, der = material[len(OTHER_TYPE) :].partition(b"\0")
                found = cls(name, JWK.from_der(der), alg.decode("ascii", "replace"))
            else:
                raise error_for("configuration_invalid", "key")
        except RapidJWSError:
            raise error_for("configuration_invalid", "key", "NAME+ID+KEY, as a log prints it") from None
        if found.key_id.hex() != given_id:
            raise error_for("configuration_invalid", "key", "the id of this name and key", given_id)
        return found

    @checked
    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Say whether a signature over a note's text is by this key."""
        try:
            raw = signature_from_der(signature, self.alg) if self._is_ecdsa else signature
            verify_raw(self.alg, self.jwk, text, raw)
        except RapidJWSError:
            return False
        return True

    def _as_in_notes(self, signature: bytes) -> bytes:
        """Return a signature of JWA as a note has it."""
        if not self._is_ecdsa:
            return signature
        half = len(signature) // 2
        numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        return encode_dss_signature(*numbers)


def public_of(signer: Signer) -> JWK:
    """Return a signer's public key.

    Raises:
        ConfigurationError: ``configuration_invalid``: it does not say it.
    """
    for name in ("public", "public_jwk"):
        public = getattr(signer, name, None)
        if isinstance(public, JWK):
            return public
    raise error_for("configuration_invalid", "signer", "a signer that has its public key")


@checked
def key_of(name: str, signer: Signer) -> NoteKey:
    """Return the public key of a signer that signs notes.

    Args:
        name: The key's name: for a log, its origin.
        signer: A signer that says its public key: local, KMS, PKCS#11 or Vault.

    Raises:
        ConfigurationError: ``configuration_invalid``: it does not say its public key.
    """
    return NoteKey(name, public_of(signer), signer.alg)


@checked
def sign_note(text: str, key: NoteKey, signer: Signer) -> bytes:
    """Return a note's text with a signature.

    Args:
        text: Lines, the last ended too.
        key: The key's name and id.
        signer: Signs.

    Raises:
        ConfigurationError: ``configuration_invalid``: not whole lines.
        DependencyUnavailable: The signer's, where it is remote.
    """
    if not text.endswith("\n") or "\n\n" in text or any(ord(one) < 0x20 for one in text if one != "\n"):
        raise error_for("configuration_invalid", "text", "lines that are ended, none of them empty")
    signed = text.encode("utf-8")
    signature = base64.b64encode(key.key_id + key._as_in_notes(signer.sign(signed))).decode()
    return signed + f"\n{_DASH}{key.name} {signature}\n".encode()


@checked
def opened_note(octets: bytes, keys: Sequence[NoteKey]) -> tuple[str, tuple[str, ...]]:
    """Return a note's text and the names of the known keys that signed it.

    Args:
        octets: The note.
        keys: Known keys; signatures by others are left out.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: not a note, or a known key's signature is not good, or
            none is by a known key.
    """
    at = octets.rfind(b"\n\n")
    if len(octets) > NOTE_MAX_BYTES or at < 0 or not octets.endswith(b"\n"):
        raise error_for("audit_trail_invalid", "note", "a text, an empty line, and signatures")
    signed, lines = octets[: at + 1], octets[at + 2 : -1]
    names = []
    try:
        text = signed.decode("utf-8")
        for line in lines.decode("utf-8").split("\n"):
            names += _signed_by(line, signed, keys)
    except UnicodeDecodeError:
        raise error_for("audit_trail_invalid", "note", "UTF-8") from None
    if not names:
        known = ", ".join(key.name for key in keys)
        raise error_for("audit_trail_invalid", "note", f"a signature by {known}", "none by that key")
    return text, tuple(dict.fromkeys(names))


def _signed_by(line: str, signed: bytes, keys: Sequence[NoteKey]) -> list[str]:
    """Return the name of the known key that a signature line is by, if any."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    signature = _b64(encoded)
    if not line.startswith(_DASH) or not name or signature is None or len(signature) < 5:
        raise error_for("audit_trail_invalid", "note", "signature lines")
    for key in keys:
        if (key.name, key.key_id) == (name, signature[:4]):
            if not key.verifies(signed, signature[4:]):
                raise error_for("audit_trail_invalid", "note", "a good signature", f"a bad one by {name}")
            return [name]
    return []


@checked
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of its tree (C2SP tlog-checkpoint).

    Args:
        origin: The log's name.
        size: The number of records.
        root: The root of the tree.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    @checked
    def opened(cls, octets: bytes, keys: Sequence[NoteKey], *, origin: str | None = None) -> Checkpoint:
        """Return a checkpoint that a known key signed.

        Args:
            octets: The signed note.
            keys: Known keys, the log's first.
            origin: The log that it must be of; None for the first key's name.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        text, _ = opened_note(octets, keys)
        lines = text.split("\n")
        root = _b64(lines[2]) if len(lines) > 3 else None
        if root is None or len(root) != HASH_BYTES or _SIZE.fullmatch(lines[1]) is None:
            raise error_for("audit_trail_invalid", "checkpoint", "origin, size and root")
        wanted = keys[0].name if origin is None else origin
        if lines[0] != wanted:
            raise error_for("audit_trail_invalid", "checkpoint", f"the log {wanted}", lines[0])
        size = int(lines[1])
        if size > SIZE_MAX:
            raise error_for("audit_trail_invalid", "checkpoint", f"a size up to {SIZE_MAX}", size)
        return cls(lines[0], size, root)
