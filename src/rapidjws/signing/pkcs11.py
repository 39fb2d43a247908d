"""A signer whose key is in a PKCS#11 token, such as an HSM; needs the extra ``pkcs11``."""

from __future__ import annotations

import hashlib
import queue
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, Final, NamedTuple

from rapidjws._checks import check_range, checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import BackendSigner, Check, SignerLimits, refused, unavailable
from rapidjws.signing.pkcs11_library import LibraryFault, LoginRefused, Pkcs11Library, library_of

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_PLACE: Final = "pkcs11"
SESSIONS_MAX: Final = 256
_REFUSALS: Final = tuple(
    "NoSuchKey MultipleObjectsReturned MultipleTokensReturned PinIncorrect PinLocked PinExpired PinInvalid "
    "PinLenRange FunctionRejected KeyTypeInconsistent MechanismInvalid "
    "MechanismParamInvalid KeySizeRange TokenWriteProtected SessionReadOnly TemplateInconsistent".split()
)
_FULL: Final = "SessionCount"
_FEWER_S: Final = 60.0
"""How long a pool goes on with fewer sessions after the token had no more."""


class _Held(NamedTuple):
    """A session, with the private key as it knows it, and the start of the library that both are of."""

    generation: int
    session: Any
    key: Any


class Pkcs11Signer(BackendSigner):
    """A signer by a token of PKCS#11, with a pool of sessions.

    A session that the token ended, a login that it forgot, and a token that was away and is back are
    opened anew: a call is tried again with a fresh session, and then with the library started again, at
    most once a second. A pool that the token has no more sessions for goes on with those it has.

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

    @keeps_secrets
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
        self._library = guarded(self._pkcs11, lambda: library_of(self._pkcs11, module))
        self._free: queue.LifoQueue[_Held | None] = queue.LifoQueue()
        self._fewer: deque[float] = deque()  # when each place of the pool that was given up is tried again
        for _ in range(sessions):
            self._free.put(None)
        public = self._tried(self._public_key)
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

    def _opened(self) -> _Held:
        """Return a session and its private key."""
        token = self._library.loaded.get_token(token_label=self._labels[0])
        generation = self._library.generation
        session = self._library.open(token, self._pin)
        try:
            key = self._found(session, self._pkcs11.ObjectClass.PRIVATE_KEY)
            if not key[self._pkcs11.Attribute.SIGN]:
                raise refused(_PLACE, "a key that may sign", "KeyFunctionNotPermitted")
        except BaseException:
            with suppress(Exception):
                session.close()
            raise
        return _Held(generation, session, key)

    def _found(self, session: Any, kind: Any) -> Any:
        """Return the one object of the label and a kind."""
        names = self._pkcs11.Attribute
        found = list(session.get_objects({names.LABEL: self._labels[1], names.CLASS: kind}))
        if len(found) != 1:  # neither is taken of two
            word = "MultipleObjectsReturned" if found else "NoSuchKey"
            raise refused(_PLACE, f"one {kind.name.lower()} of the label {self._labels[1]}", word)
        return found[0]

    def _public_key(self, held: _Held) -> JWK:
        from pkcs11.util.ec import encode_ec_public_key
        from pkcs11.util.rsa import encode_rsa_public_key

        kinds = self._pkcs11
        key = self._found(held.session, kinds.ObjectClass.PUBLIC_KEY)
        is_ec = key.key_type == kinds.KeyType.EC
        return JWK.from_der((encode_ec_public_key if is_ec else encode_rsa_public_key)(key))

    def _signature(self, signing_input: bytes) -> bytes:
        signature: bytes = self._tried(lambda held: self._by_token(held.key, signing_input))
        return signature

    def _tried(self, call: Callable[[_Held], Any]) -> Any:
        """Call with a session that is free, then with a fresh one, then with the library started again."""
        end_s = time.monotonic() + self._wait_s
        held = self._taken(end_s)
        try:
            tries_left = 2
            while True:
                seen = self._library.generation
                try:
                    held, made = guarded(self._pkcs11, partial(self._once, held, call), self._library)
                    return made
                except RapidJWSError as failed:
                    held, word = None, failed.actual  # whatever is wrong with it: it is closed
                    if failed.code == "signer_refused" or (word != _FULL and not tries_left):
                        raise
                    if tries_left == 1 and word != _FULL and not self._library.restart(seen):
                        raise
                if word == _FULL:  # another program has sessions: go on with fewer
                    held = self._taken(end_s)
                    self._fewer.append(end_s + _FEWER_S)
                else:
                    tries_left -= 1
        finally:
            self._free.put(held)

    def _taken(self, end_s: float) -> _Held | None:
        """Return a session that is free, or None where one may be opened."""
        with suppress(IndexError):
            if self._fewer[0] < time.monotonic():
                self._fewer.popleft()
                return None
        try:
            return self._free.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            raise unavailable(_PLACE, f"no session free for {self._wait_s} s") from None

    def _once(self, held: _Held | None, call: Callable[[_Held], Any]) -> tuple[_Held, Any]:
        """Call with a session, one of this start of the library; close it where the call fails."""
        if held is None or held.generation != self._library.generation:
            held = self._opened()
        try:
            return held, call(held)
        except BaseException:
            with suppress(Exception):
                held.session.close()
            raise

    def close(self) -> None:
        """End the sessions that are free; a later signature opens one anew."""
        taken = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._free.get_nowait())
        for held in taken:
            with suppress(Exception), self._library.turn():
                if held is not None and held.generation == self._library.generation:
                    held.session.close()
            self._free.put(None)

    def _by_token(self, key: Any, signing_input: bytes) -> bytes:
        row = ALGORITHM_TABLE[self.alg]
        if row.kind == "ecdsa":  # CKM_ECDSA takes the digest, and gives R || S
            digest = hashlib.new(str(row.digest), signing_input).digest()
            return bytes(key.sign(digest, mechanism=self._mechanism))
        return bytes(key.sign(signing_input, mechanism=self._mechanism, mechanism_param=self._parameter))


def guarded(pkcs11: Any, call: Callable[[], Any], library: Pkcs11Library | None = None) -> Any:
    """Call a library, or load it where there is none, with its errors as ours; their texts are not shown."""
    names = pkcs11.exceptions
    refusals: tuple[type[Exception], ...] = (LoginRefused, *(getattr(names, one) for one in _REFUSALS))
    try:
        with nullcontext() if library is None else library.turn():
            return call()
    except RapidJWSError:
        raise
    except refusals as fault:
        word = str(fault) if isinstance(fault, LoginRefused) else type(fault).__name__
        failed = refused(_PLACE, "one key of this label, its PIN, and the right to sign", word)
    except (LibraryFault, names.PKCS11Error, RuntimeError, OSError) as fault:
        word = str(fault) if isinstance(fault, LibraryFault) else type(fault).__name__
        failed = unavailable(_PLACE, word)
    raise failed  # outside of the clause: with no error behind it whose text or frames hold what was passed


def pkcs11_module() -> Any:
    """Return python-pkcs11, or raise ImportError with what to install."""
    try:
        import pkcs11
        import pkcs11.exceptions
    except ImportError as missing:
        raise ImportError("keys in PKCS#11 tokens need: pip install 'rapidjws[pkcs11]'") from missing
    return pkcs11
