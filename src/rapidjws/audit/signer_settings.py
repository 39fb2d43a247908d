"""Who signs checkpoints, as a configuration says: a key file, AWS KMS, or a token of PKCS#11."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws import _files
from rapidjws.audit.checkpoint_signer import CheckpointSigner
from rapidjws.audit.notes import NoteKey, public_of
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.signing.signer import LocalSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.signing.signer import Signer

KEY_MAX_BYTES: Final = 64 * 1024
PIN_MAX_BYTES: Final = 1024
ONE_OF: Final = ("key_file", "kms_key", "pkcs11_module")
BESIDE: Final = {
    "kms_regions": "kms_key",
    "pkcs11_token": "pkcs11_module",
    "pkcs11_key": "pkcs11_module",
    "pkcs11_pin_file": "pkcs11_module",
}
_ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class SignerSettings(Protocol):
    """The settings of a trail that say who signs; see ``settings.AuditSettings``."""

    @property
    def origin(self) -> str:
        """Return the log's name."""

    @property
    def key_file(self) -> str:
        """Return the private key's file."""

    @property
    def kms_key(self) -> str:
        """Return the key in AWS KMS."""

    @property
    def kms_regions(self) -> tuple[str, ...]:
        """Return its regions."""

    @property
    def pkcs11_module(self) -> str:
        """Return the library of a token."""

    @property
    def pkcs11_token(self) -> str:
        """Return the token's label."""

    @property
    def pkcs11_key(self) -> str:
        """Return the key's label."""

    @property
    def pkcs11_pin_file(self) -> str:
        """Return the file of the PIN."""

    @property
    def signer_alg(self) -> str:
        """Return the algorithm."""

    @property
    def log_key(self) -> str:
        """Return the public key in one word."""


def _wrong(name: str, expected: str, actual: str | None = None) -> RapidJWSError:
    return error_for("configuration_invalid", f"audit.{name}", expected, actual)


def check_words(settings: SignerSettings) -> None:
    """Refuse settings of the signer that do not go together; looks at no file and asks nobody."""
    given = [name for name in ONE_OF if getattr(settings, name)]
    if not given:
        raise _wrong("key_file", "a value", "none")
    if len(given) > 1:
        raise _wrong(given[1], f"nothing beside {given[0]}")
    one = given[0]
    for name, beside in BESIDE.items():
        if bool(getattr(settings, name)) != bool(getattr(settings, beside)):
            there, missing = (name, beside) if getattr(settings, name) else (beside, name)
            raise _wrong(there, f"{missing} beside it")
    if one == "key_file":
        for name in ("signer_alg", "log_key"):
            if getattr(settings, name):
                raise _wrong(name, "nothing beside key_file")
        return
    if settings.signer_alg and settings.signer_alg not in _ALGORITHMS:
        raise _wrong("signer_alg", str(_ALGORITHMS), settings.signer_alg)
    known = known_key(settings)
    if known is not None and known.name != settings.origin:
        raise _wrong("log_key", f"a key of {settings.origin}", known.name)
    if known is not None and settings.signer_alg and known.alg != settings.signer_alg:
        raise _wrong("log_key", f"a key of {settings.signer_alg}", known.alg)


def known_key(settings: SignerSettings) -> NoteKey | None:
    """Return the log's key as the settings have it, or None."""
    if not settings.log_key:
        return None
    try:
        return NoteKey.from_text(settings.log_key)
    except RapidJWSError as fault:
        raise _wrong("log_key", str(fault.expected), str(fault.actual)) from None


def check_signer(settings: SignerSettings) -> None:
    """Refuse a signer that cannot be: looks at its files, and asks no KMS and no token.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if settings.key_file:
        local_signer(settings)
        return
    package, extra = ("boto3", "aws") if settings.kms_key else ("pkcs11", "pkcs11")
    if find_spec(package) is None:
        raise _wrong(settings_name(settings), f"the extra {extra}", "not installed")
    if settings.pkcs11_module:
        _pin(settings)
        if not Path(settings.pkcs11_module).is_file():
            raise _wrong("pkcs11_module", "the vendor's library", "no such file")


def settings_name(settings: SignerSettings) -> str:
    """Return the setting that says who signs."""
    return next(name for name in ONE_OF if getattr(settings, name))


def signer_of(settings: SignerSettings) -> Signer:
    """Return the signer of checkpoints.

    Raises:
        ConfigurationError: ``configuration_invalid``; ``signer_refused``: a key that is not there or may not
            sign.
        DependencyUnavailable: ``signer_unavailable``, where ``log_key`` does not say what it would be asked.
    """
    if settings.key_file:
        return local_signer(settings)
    check_signer(settings)
    make = _kms(settings) if settings.kms_key else _pkcs11(settings)
    signer = CheckpointSigner(make, known_key(settings))
    try:
        NoteKey(settings.origin, signer.public, signer.alg)
    except RapidJWSError as fault:
        raise _wrong("origin", str(fault.expected), str(fault.actual)) from None
    return signer


def _alg(settings: SignerSettings) -> str:
    known = known_key(settings)
    return settings.signer_alg or ("ES256" if known is None else known.alg)


def _kms(settings: SignerSettings) -> Callable[[], Signer]:
    def make() -> Signer:
        from rapidjws.signing.aws_kms import AwsKmsSigner

        return AwsKmsSigner(settings.kms_key, _alg(settings), regions=settings.kms_regions)

    return make


def _pkcs11(settings: SignerSettings) -> Callable[[], Signer]:
    def make() -> Signer:
        from rapidjws.signing.pkcs11 import Pkcs11Signer

        return Pkcs11Signer(
            settings.pkcs11_module,
            token_label=settings.pkcs11_token,
            key_label=settings.pkcs11_key,
            pin=_pin(settings),
            alg=_alg(settings),
            sessions=1,
        )

    return make


def _pin(settings: SignerSettings) -> str:
    try:
        return _files.read_private(settings.pkcs11_pin_file, PIN_MAX_BYTES).decode("ascii").strip()
    except (OSError, ValueError) as fault:  # no ASCII, or a path with a NUL, among them
        actual = getattr(fault, "strerror", None) or type(fault).__name__
        raise _wrong("pkcs11_pin_file", "a PIN in a file that others cannot read", actual) from None


def local_signer(settings: SignerSettings) -> LocalSigner:
    """Return the signer by a key file; raises ConfigurationError."""
    try:
        octets = _files.read_private(settings.key_file, KEY_MAX_BYTES)
        is_json = octets.lstrip()[:1] == b"{"
        key = JWK.from_json(octets, private=True) if is_json else JWK.from_pem(octets, private=True)
        signer = LocalSigner(key, "EdDSA" if "EdDSA" in key.algorithms else None)
        NoteKey(settings.origin, signer.public, signer.alg)
    except (OSError, ValueError) as fault:  # a path with a NUL among them
        actual = getattr(fault, "strerror", None) or type(fault).__name__
        raise _wrong("key_file", "a private key", actual) from None
    except RapidJWSError as fault:
        place = "origin" if fault.place == "name" else "key_file"
        raise _wrong(place, "a private key of Ed25519, and a name", str(fault)) from None
    return signer


def log_key_of(settings: SignerSettings) -> NoteKey:
    """Return the log's public key; of a KMS or a token as ``log_key`` has it, or by a question to it."""
    known = known_key(settings)
    if known is not None:
        return known
    signer = signer_of(settings)
    return NoteKey(settings.origin, public_of(signer), signer.alg)
