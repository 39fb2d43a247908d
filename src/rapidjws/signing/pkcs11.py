"""A signer whose key is in a PKCS#11 token, such as an HSM; needs the extra ``pkcs11``."""

from __future__ import annotations

import hashlib
import queue
import threading
from functools import partial
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import BackendSigner, Check, SignerLimits, refused, unavailable
from rapidjws.signing.pkcs11_library import Pkcs11Library, library_of

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_PLACE: Final = "pkcs11"
SESSIONS_MAX: Final = 256
_REFUSALS: Final = tuple(
    "NoSuchKey MultipleObjectsReturned PinIncorrect PinLocked PinExpired PinInvalid PinLenRange "
    "FunctionRejected KeyTypeInconsistent MechanismInvalid TokenWriteProtected SessionReadOnly "
    "TemplateInconsistent".split()
)


class Pkcs11Signer(BackendSigner):
    """A signer by a token of PKCS#11, with a pool of sessions.

    A session that the token ended, a login that it forgot, and a token that was away and is back are
    opened anew; one call is tried twice.

    Args:
        module: The vendor's library, a path.
        token_label: The token's label.
        key_label: The label of the private key, and of its public key or certificate.
        pin: The user's PIN.
        alg: The JWS algorithm.
        kid: The kid; None for the thumbprint.
        sessions: How many calls at once.
        wait_s: Longest wait for a session that is free.
        check: How many signatures are verified before they leave.

    Raises:
        ImportError: python-pkcs11 is not installed.
        ConfigurationError: ``signer_refused``: no such key, a wrong PIN, a key that may not sign.
        DependencyUnavailable: ``signer_unavailable``: no such library or token.
    """

    @checked
    def __init__(
        self,
        module: str,
        *,
        token_label: str,
        key_label: str,
        pin: str,
        alg: str,
        kid: str | None = None,
        sessions: int = 4,
        wait_s: float = 5.0,
        check: Check = "always",
    ) -> None:
        if alg not in ALGORITHMS:
            raise error_for("configuration_invalid", "alg", ALGORITHMS, alg)
        check_range("sessions", sessions, 1, SESSIONS_MAX)
        check_range("wait_s", wait_s, 0.001, 3600)
        self._pkcs11 = pkcs11_module()
        self._labels = (token_label, key_label)
        self._pin = pin
        self._wait_s = wait_s
        self._opening = threading.Lock()
        self._library: Pkcs11Library | None = None
        self._library = self._guarded(lambda: library_of(self._pkcs11, module))
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(sessions):
            self._free.put(None)
        session = self._guarded(self._opened)
        public = self._guarded(lambda: self._public_key(session[0]))
        self._free.get_nowait()
        self._free.put(session)
        limits = SignerLimits(concurrent=sessions)
        super().__init__(alg=alg, public=public, kid=kid, check=check, limits=limits)
        self._mechanism, self._parameter = self._mechanism_of(alg)

    def _mechanism_of(self, alg: str) -> tuple[Any, Any]:
        names = self._pkcs11.Mechanism
        size = alg[2:]
        if alg.startswith("ES"):
            return names.ECDSA, None
        if alg.startswith("RS"):
            return getattr(names, f"SHA{size}_RSA_PKCS"), None
        digest = getattr(names, f"SHA{size}")
        mask = getattr(self._pkcs11.MGF, f"SHA{size}")
        return getattr(names, f"SHA{size}_RSA_PKCS_PSS"), (digest, mask, int(size) // 8)

    def _opened(self) -> tuple[Any, Any]:
        """Return a session and its private key."""
        token_label, key_label = self._labels
        assert self._library is not None
        library = self._library.loaded
        with self._opening:
            try:
                token = library.get_token(token_label=token_label)
            except self._pkcs11.exceptions.NoSuchToken:
                self._library.restart()  # the list of slots is made when the library starts
                token = library.get_token(token_label=token_label)
            try:
                session = token.open(user_pin=self._pin)
            except self._pkcs11.exceptions.UserAlreadyLoggedIn:  # a login is the process's, not a session's
                session = token.open()
        found = session.get_key(label=key_label, object_class=self._pkcs11.ObjectClass.PRIVATE_KEY)
        return session, found

    def _public_key(self, session: Any) -> JWK:
        from pkcs11.util.ec import encode_ec_public_key
        from pkcs11.util.rsa import encode_rsa_public_key

        kinds = self._pkcs11
        key = session.get_key(label=self._labels[1], object_class=kinds.ObjectClass.PUBLIC_KEY)
        is_ec = key.key_type == kinds.KeyType.EC
        return JWK.from_der((encode_ec_public_key if is_ec else encode_rsa_public_key)(key))

    def _signature(self, signing_input: bytes) -> bytes:
        try:
            held = self._free.get(timeout=self._wait_s)
        except queue.Empty:
            raise unavailable(_PLACE, f"no session free for {self._wait_s} s") from None
        try:
            for is_last in (False, True):
                try:
                    held = held or self._guarded(self._opened)
                    signature: bytes = self._guarded(partial(self._by_token, held[1], signing_input))
                    return signature
                except RapidJWSError as failed:
                    held = None  # whatever is wrong with it: the next call opens a fresh one
                    if is_last or failed.code == "signer_refused":
                        raise
            raise AssertionError("unreachable")
        finally:
            self._free.put(held)

    def _by_token(self, key: Any, signing_input: bytes) -> bytes:
        row = ALGORITHM_TABLE[self.alg]
        if row.kind == "ecdsa":  # CKM_ECDSA takes the digest, and gives R || S
            digest = hashlib.new(str(row.digest), signing_input).digest()
            return bytes(key.sign(digest, mechanism=self._mechanism))
        return bytes(key.sign(signing_input, mechanism=self._mechanism, mechanism_param=self._parameter))

    def _guarded(self, call: Any) -> Any:
        """Call the library, with its errors as ours."""
        return guarded(self._pkcs11, self._library, call)


def guarded(pkcs11: Any, library: Pkcs11Library | None, call: Any) -> Any:
    """Call a library, or load it where it is None, with its errors as ours; their texts are not shown."""
    names = pkcs11.exceptions
    try:
        if library is None:
            return call()
        with library.turn:
            return call()
    except RapidJWSError:
        raise
    except tuple(getattr(names, one) for one in _REFUSALS) as fault:
        words = "one key of this label, its PIN, and the right to sign"
        raise refused(_PLACE, words, type(fault).__name__) from None
    except (names.PKCS11Error, RuntimeError, OSError) as fault:
        raise unavailable(_PLACE, type(fault).__name__) from None


def pkcs11_module() -> Any:
    """Return python-pkcs11, or raise ImportError with what to install."""
    try:
        import pkcs11
        import pkcs11.exceptions
    except ImportError as missing:
        raise ImportError("keys in PKCS#11 tokens need: pip install 'rapidjws[pkcs11]'") from missing
    return pkcs11
