"""Witnesses of a log: what they are asked and what they sign (C2SP tlog-witness, tlog-cosignature).

A witness signs a checkpoint with its time, after it was shown that the tree only grew since the last one. Who
has the log's key alone cannot show another tree to somebody else then.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.audit.merkle import consistency_proof
from rapidjws.audit.notes import NOTE_MAX_BYTES, ORIGIN, Checkpoint, opened_note
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.verify.raw import verify_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

COSIGNED: Final = "cosigned"
COSIGNATURE_TYPE: Final = b"\x04"
LINES_MAX_BYTES: Final = 16 * 1024
PROOF_MAX: Final = 63
_DASH: Final = "— "
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


@checked
@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness (C2SP tlog-cosignature, Ed25519).

    Args:
        name: Its name.
        public: 32 octets.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Check name and key."""
        if ORIGIN.fullmatch(self.name) is None:
            raise error_for("configuration_invalid", "name", "visible ASCII without +")
        if len(self.public) != 32:
            raise error_for("configuration_invalid", "public", "32 octets", len(self.public))

    @property
    def key_id(self) -> bytes:
        """Return the four octets by which a signature names this key."""
        return sha256(self.name.encode("ascii") + b"\n" + COSIGNATURE_TYPE + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """Return the key as one word: name, id and public key."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(COSIGNATURE_TYPE + self.public).decode()}"

    @classmethod
    @checked
    def from_text(cls, text: str) -> WitnessKey:
        """Return the key of one word, as a witness publishes it.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        name, _, rest = text.strip().partition("+")
        given_id, _, encoded = rest.partition("+")
        material = _octets(encoded)
        if material[:1] != COSIGNATURE_TYPE or len(material) != 33:
            raise error_for("configuration_invalid", "witness", "NAME+ID+KEY of type 4 (cosignature/v1)")
        found = cls(name, material[1:])
        if found.key_id.hex() != given_id:
            raise error_for("configuration_invalid", "witness", "the id of this name and key", given_id)
        return found

    def verifies(self, text: str, time_s: int, signature: bytes) -> bool:
        """Say whether a signature over a checkpoint's text at a time is by this key."""
        x = base64.urlsafe_b64encode(self.public).rstrip(b"=").decode()
        jwk = JWK.from_json({"kty": "OKP", "crv": "Ed25519", "x": x})
        try:
            verify_raw("EdDSA", jwk, f"cosignature/v1\ntime {time_s}\n{text}".encode(), signature)
        except RapidJWSError:
            return False
        return True


@checked
def cosignatures(note: bytes, witnesses: Sequence[WitnessKey]) -> dict[str, int]:
    """Return the known witnesses that signed a checkpoint, and when: seconds since the epoch.

    Args:
        note: The checkpoint with its signature lines.
        witnesses: Known witnesses; lines of others are left out.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: a line that names a known witness is not by it.
    """
    at = note.rfind(b"\n\n")
    if at < 0 or len(note) > NOTE_MAX_BYTES:
        raise error_for("audit_trail_invalid", "note", "a text, an empty line, and signatures")
    text = note[: at + 1].decode("utf-8", "replace")
    found = {}
    for line in note[at + 2 :].decode("utf-8", "replace").split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        octets = _octets(encoded)
        for key in witnesses:
            if (key.name, key.key_id) != (name, octets[:4]):
                continue
            time_s = int.from_bytes(octets[4 : 4 + _TIME_BYTES], "big")
            signature = octets[4 + _TIME_BYTES :]
            if not time_s or len(signature) != _SIGNATURE_BYTES or not key.verifies(text, time_s, signature):
                raise error_for("audit_trail_invalid", "note", "a good cosignature", f"a bad one by {name}")
            found[name] = time_s
    return found


@checked
def witness_request(reader: TrailReader, old_size: int) -> bytes:
    """Return what a witness's ``add-checkpoint`` takes: a proof since what it knows, and the checkpoint.

    Args:
        reader: The trail.
        old_size: The size that the witness knows: 0 at first, or what it answers with status 409.

    Raises:
        ConfigurationError: ``configuration_invalid``: the trail is smaller; ``audit_trail_invalid``.
    """
    if not 0 <= old_size <= reader.size:
        raise error_for("configuration_invalid", "old_size", f"0 to {reader.size}", old_size)
    path: Sequence[bytes] = ()
    if 0 < old_size < reader.size:
        path = consistency_proof(reader._reader.subtree, old_size, reader.size)
    lines = [f"old {old_size}", *(base64.b64encode(one).decode() for one in path)]
    return ("\n".join(lines) + "\n\n").encode() + reader.note


@checked
def add_cosignatures(
    reader: TrailReader, lines: bytes, witnesses: Sequence[WitnessKey], *, request: bytes | None = None
) -> dict[str, int]:
    """Store what witnesses answered beside the trail; return who signed, and when.

    Args:
        reader: The trail.
        lines: Their signature lines.
        witnesses: Known witnesses.
        request: What was sent; None where the trail is still at that checkpoint.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: none is a good cosignature of this checkpoint; nothing is
            stored.
        OSError: The file cannot be written.
    """
    if len(lines) > LINES_MAX_BYTES or b"\n\n" in lines:
        raise error_for("audit_trail_invalid", "answer", "signature lines")
    sent = reader.note if request is None else request.partition(b"\n\n")[2]
    signed = Checkpoint.opened(sent, [reader.key])
    if signed.size:
        reader.prove_consistency(signed)
    path = reader.folder / COSIGNED / f"{signed.size:016d}"
    before = _files.read_trusted(path, NOTE_MAX_BYTES) if path.exists() else sent
    own = [one for one in lines.splitlines(keepends=True) if one not in before.splitlines(keepends=True)]
    note = before + b"".join(one if one.endswith(b"\n") else one + b"\n" for one in own)
    opened_note(note, [reader.key])
    found = cosignatures(note, witnesses)
    if not found:
        raise error_for("audit_trail_invalid", "answer", "a cosignature of a known witness", "none")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _files.replace(path, note, mode=0o644)
    return found


@checked
def check_witnesses(
    reader: TrailReader, witnesses: Sequence[WitnessKey], needed: int
) -> tuple[int, dict[str, int]]:
    """Return the newest size that enough witnesses signed, and when each did.

    Args:
        reader: The trail, of which each such checkpoint must be the beginning.
        witnesses: Known witnesses.
        needed: How many of them.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: no checkpoint has so many, or one is of another tree.
    """
    folder = reader.folder / COSIGNED
    names = (
        sorted((one.name for one in folder.iterdir() if one.name.isdigit()), reverse=True)
        if folder.is_dir()
        else []
    )
    for name in names:
        place = f"{COSIGNED}/{name}:0"
        try:
            note = _files.read_trusted(folder / name, NOTE_MAX_BYTES)
            found = cosignatures(note, witnesses)
            earlier = Checkpoint.opened(note, [reader.key])
            if earlier.size:
                reader.prove_consistency(earlier)
        except (OSError, RapidJWSError) as fault:
            expected = getattr(fault, "expected", "a file")
            raise error_for(
                "audit_trail_invalid", place, expected, str(getattr(fault, "actual", None))
            ) from None
        if len(found) >= needed:
            return earlier.size, found
    raise error_for("audit_trail_invalid", f"{COSIGNED}:0", f"a checkpoint with {needed} witnesses", "none")
