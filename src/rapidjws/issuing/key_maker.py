"""Who makes an issuer's new keys: a Protocol, and the maker whose private keys are files of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.state import SigningKey
from rapidjws.jose.jwk import JWK
from rapidjws.signing.new_key import make_key
from rapidjws.signing.signer import LocalSigner, Signer

PRIVATE_MAX_BYTES: Final = 64 * 1024


class NewKey(NamedTuple):
    """A key pair that was made.

    Attributes:
        public: The public key, with its kid.
        reference: Where the private half is.
    """

    public: JWK
    reference: str


class KeyMaker(Protocol):
    """A maker of key pairs, and of signers for them."""

    def make(self, alg: str) -> NewKey:
        """Make a key pair with a kid of its own."""

    def signer(self, key: SigningKey) -> Signer:
        """Return the signer for a key of the state."""

    def remove(self, key: SigningKey) -> None:
        """Destroy the private half of a key that is removed, or leave it to the operator."""


def made_key(maker: KeyMaker, alg: str, now_s: float) -> SigningKey:
    """Return a next key of a maker, published now; raises what the maker raises."""
    fresh = maker.make(alg)
    return SigningKey(
        kid=str(fresh.public.kid),
        alg=alg,
        stage="next",
        jwk=fresh.public.as_dict(),
        reference=fresh.reference,
        published_at_s=now_s,
    )


class LocalKeyMaker:
    """A maker whose private keys are JWK files in a folder, mode 0600, named by the key's thumbprint.

    Issuers on several machines need the same folder, or keys in a KMS.

    Args:
        folder: The folder, which must be there.
        rsa_bits: Modulus size for RS and PS, 2048 to 16384.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such folder, another size.
    """

    __slots__ = ("_folder", "_rsa_bits")

    @checked
    def __init__(self, folder: str | Path, *, rsa_bits: int = 2048) -> None:
        check_range("issuing.rsa_bits", rsa_bits, 2048, 16384)
        self._folder = Path(folder)
        self._rsa_bits = rsa_bits
        if not self._folder.is_dir():
            raise error_for("configuration_invalid", "issuing.key_folder", "a folder that is there")

    @keeps_secrets
    @checked
    def make(self, alg: str) -> NewKey:
        """Make a key pair; its kid is the RFC 7638 thumbprint.

        Raises:
            HeaderRefused: ``unsupported_algorithm``.
            ConfigurationError: ``configuration_invalid``: a symmetric algorithm.
            DependencyUnavailable: ``key_state_unavailable``: the file cannot be written.
        """
        key = make_key(alg, rsa_bits=self._rsa_bits)
        if key.is_symmetric:
            raise error_for("configuration_invalid", "alg", "an algorithm with a public key", alg)
        kid = key.thumbprint()
        members = {**key.as_dict(private=True), "kid": kid, "use": "sig"}
        members.pop("key_ops", None)
        name = f"{kid}.jwk"
        try:
            _files.write_new(self._folder / name, json.dumps(members).encode())
        except OSError as fault:
            raise _unwritable(fault) from None
        return NewKey(JWK.from_json({**key.public().as_dict(), "kid": kid, "use": "sig"}), name)

    @keeps_secrets
    @checked
    def signer(self, key: SigningKey) -> Signer:
        """Return the signer for a key of the state.

        Raises:
            KeyRefused: ``key_readable_by_others``: the file's mode; or the file holds another key.
            DependencyUnavailable: ``key_state_unavailable``: the file cannot be read.
        """
        path = self._path(key.reference)
        try:
            octets = _files.read_private(path, PRIVATE_MAX_BYTES)
        except _files.FileRefused as refused:
            raise error_for("key_readable_by_others", "issuing.key_folder", refused.strerror) from None
        except OSError as fault:
            raise error_for(
                "key_state_unavailable", "issuing.key_folder", "the private key's file", fault.strerror
            ) from None
        try:
            private = JWK.from_json(octets, private=True)
        except RapidJWSError as refused:
            code = refused.code
        else:
            if private.thumbprint() == key.public().thumbprint():
                return LocalSigner(private, key.alg)
            code = "another key"
        raise error_for("key_malformed", "issuing.key_folder", f"the private key of {key.kid}", code)

    @checked
    def remove(self, key: SigningKey) -> None:
        """Remove the file of a private key; one that is gone already is no fault.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``.
        """
        try:
            _files.remove(self._path(key.reference))
        except FileNotFoundError:
            return
        except OSError as fault:
            raise _unwritable(fault) from None

    def _path(self, reference: str) -> Path:
        if Path(reference).name != reference or reference in ("", ".", ".."):
            raise error_for("configuration_invalid", "reference", "a file's name in the folder of keys")
        return self._folder / reference


def _unwritable(fault: OSError) -> RapidJWSError:
    place = "issuing.key_folder"
    return error_for("key_state_unavailable", place, "a folder to write", fault.strerror)
