"""A maker whose private keys are in a PKCS#11 token, such as an HSM; needs the extra ``pkcs11``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.key_checks import TRIAL
from rapidjws.issuing.key_maker import NewKey
from rapidjws.issuing.state import SigningKey
from rapidjws.signing.pkcs11 import SESSIONS_MAX, Pkcs11Signer, guarded, pkcs11_module
from rapidjws.signing.pkcs11_library import library_of
from rapidjws.signing.signer import Signer

_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
LABEL: Final = "rapidjws-"


class Pkcs11KeyMaker:
    """Makes each key in a token, which never gives its private half.

    Args:
        module: The vendor's library, a path.
        token_label: The token's label.
        pin: The user's PIN.
        sessions: How many signatures at once.
        rsa_bits: Modulus size for RS and PS, 2048 to 16384.

    Raises:
        ImportError: python-pkcs11 is not installed.
        ConfigurationError: ``configuration_invalid``; ``signer_refused``: a wrong PIN.
        DependencyUnavailable: ``signer_unavailable``: no such library or token.
    """

    __slots__ = (
        "_library", "_module", "_pin", "_pkcs11", "_rsa_bits", "_sessions", "_token_label", "_unfinished",
    )  # fmt: skip

    @keeps_secrets
    @checked
    def __init__(
        self, module: str, *, token_label: str, pin: str, sessions: int = 4, rsa_bits: int = 2048
    ) -> None:
        check_range("issuing.pkcs11_sessions", sessions, 1, SESSIONS_MAX)
        check_range("issuing.rsa_bits", rsa_bits, 2048, 16384)
        self._module = module
        self._token_label = token_label
        self._pin = pin
        self._sessions = sessions
        self._rsa_bits = rsa_bits
        self._unfinished: dict[
            str, str
        ] = {}  # alg -> a key that could not be used: the next one, not one more
        self._pkcs11 = pkcs11_module()
        self._library = guarded(self._pkcs11, lambda: library_of(self._pkcs11, module))
        self._in_session(lambda session: None)

    @checked
    def make(self, alg: str) -> NewKey:
        """Make a key pair in the token that signs; its kid is the RFC 7638 thumbprint.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such algorithm; ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``.
        """
        if alg not in _CURVES and alg[:2] not in ("RS", "PS"):
            raise error_for("configuration_invalid", "alg", "ES256, ES384, ES512, RS or PS", alg)
        label = self._unfinished.get(alg)
        if label is None:
            label = f"{LABEL}{secrets.token_hex(16)}"
            self._in_session(partial(self._generate, alg=alg, label=label))
            self._unfinished[alg] = label
        signer = self._signer(label, alg, None, 1)
        try:
            signer.sign(TRIAL)  # a device that makes a key, and does not sign by it
        finally:
            signer.close()
        del self._unfinished[alg]
        return NewKey(signer.public_jwk, label)

    @checked
    def signer(self, key: SigningKey) -> Signer:
        """Return the signer for a key of the state.

        Raises:
            KeyRefused: ``key_malformed``: the token has another key under this label.
            ConfigurationError: ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``.
        """
        made = self._signer(key.reference, key.alg, key.kid, self._sessions)
        if made.public_jwk.thumbprint() != key.public().thumbprint():
            raise error_for("key_malformed", "issuing.pkcs11_token", f"the key {key.kid}", "another key")
        return made

    @checked
    def remove(self, key: SigningKey) -> None:
        """Destroy both halves of a key; those that are gone already are no fault.

        Raises:
            ConfigurationError: ``configuration_invalid``: a label that is not of this maker;
                ``signer_refused``.
            DependencyUnavailable: ``signer_unavailable``.
        """
        if not key.reference.startswith(LABEL):
            raise error_for("configuration_invalid", "reference", f"a label that begins with {LABEL}")
        self._in_session(lambda session: self._destroy(session, key.reference))

    def _generate(self, session: Any, alg: str, label: str) -> None:
        names = self._pkcs11
        private = {names.Attribute.SENSITIVE: True, names.Attribute.EXTRACTABLE: False}
        given: dict[str, Any] = {"label": label, "store": True, "private_template": private}
        if alg in _CURVES:
            from pkcs11.util.ec import encode_named_curve_parameters

            curve = {names.Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[alg])}
            session.create_domain_parameters(names.KeyType.EC, curve, local=True).generate_keypair(**given)
        else:
            session.generate_keypair(names.KeyType.RSA, self._rsa_bits, **given)

    def _destroy(self, session: Any, label: str) -> None:
        kinds = self._pkcs11.ObjectClass
        for kind in (kinds.PRIVATE_KEY, kinds.PUBLIC_KEY):
            found = {self._pkcs11.Attribute.LABEL: label, self._pkcs11.Attribute.CLASS: kind}
            for one in list(session.get_objects(found)):
                one.destroy()

    def _in_session(self, do: Callable[[Any], None]) -> None:
        """Do something in a session that may write, and close it."""

        def call() -> None:
            token = self._library.loaded.get_token(token_label=self._token_label)
            session = self._library.open(token, self._pin, rw=True)
            with session:
                do(session)

        seen = self._library.generation
        try:
            guarded(self._pkcs11, call, self._library)
        except RapidJWSError as failed:
            if failed.code == "signer_refused" or not self._library.restart(seen):
                raise
            guarded(self._pkcs11, call, self._library)

    def _signer(self, label: str, alg: str, kid: str | None, sessions: int) -> Pkcs11Signer:
        return Pkcs11Signer(
            self._module,
            token_label=self._token_label,
            key_label=label,
            pin=self._pin,
            alg=alg,
            kid=kid,
            sessions=sessions,
        )

    def __repr__(self) -> str:
        return f"Pkcs11KeyMaker(token_label={getattr(self, '_token_label', None)!r})"
