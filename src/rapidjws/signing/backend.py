"""What signers outside this process have in common: limits, and a look at each signature before it leaves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Protocol

from rapidjws._checks import checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.signing.signer import Signer
from rapidjws.verify.raw import verify_raw
from rapidjws.verify.worker_pool import call_on_thread

Check = Literal["always", "sampled", "never"]
SAMPLE: Final = 32
"""Of so many signatures one is verified where ``sampled`` is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerLimits:
    """What a signer can take.

    Attributes:
        concurrent: How many calls at once; None for no limit of its own.
        per_second: How many calls a second, by the backend's quota; None where none is known.
        is_remote: Whether a call may wait for another machine or device.
    """

    concurrent: int | None = None
    per_second: float | None = None
    is_remote: bool = True


class KeySigner(Signer, Protocol):
    """A signer with all that queues, publications and life cycles ask of it."""

    @property
    def public_jwk(self) -> JWK:
        """Return the public key."""

    @property
    def limits(self) -> SignerLimits:
        """Return what it can take."""

    async def asign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature without blocking the loop."""


class BackendSigner:
    """A signer whose private key is elsewhere; a subclass makes the signature.

    Every signature is verified with the public key before it leaves, unless the caller asks for less: a
    faulty device must not issue garbage.

    Args:
        alg: The algorithm.
        public: The public key, as the backend gave it.
        kid: Its kid; None for the thumbprint.
        check: ``"always"``, ``"sampled"`` (one of SAMPLE, at random) or ``"never"``.
        limits: What it can take.

    Raises:
        HeaderRefused: ``key_alg_mismatch``: the key does not serve the algorithm.
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(self, *, alg: str, public: JWK, kid: str | None, check: Check, limits: SignerLimits) -> None:
        if alg not in ALGORITHM_TABLE or alg not in public.algorithms:
            raise error_for("key_alg_mismatch", "alg", expected=public.algorithms, actual=alg)
        if check not in ("always", "sampled", "never"):
            raise error_for("configuration_invalid", "check", ("always", "sampled", "never"), str(check))
        self.alg = alg
        self.kid: str | None = kid or public.thumbprint()
        self.public_jwk = JWK.from_json({**public.as_dict(), "kid": self.kid, "alg": alg, "use": "sig"})
        self.limits = limits
        self._check = check

    @keeps_secrets
    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature over the octets.

        Raises:
            DependencyUnavailable: ``signer_unavailable``, ``signer_throttled``.
            ConfigurationError: ``signer_refused``.
            InternalError: ``signature_faulty``: the backend's signature does not verify, and does not leave.
        """
        signature = self._signature(signing_input)
        if self._check == "always" or (self._check == "sampled" and secrets.randbelow(SAMPLE) == 0):
            try:
                verify_raw(self.alg, self.public_jwk, signing_input, signature)
            except RapidJWSError:
                raise error_for("signature_faulty", self.kid) from None
        return signature

    @checked
    async def asign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature, made on a thread; raises what :meth:`sign` raises."""
        return await call_on_thread(partial(self.sign, signing_input))

    def _signature(self, signing_input: bytes) -> bytes:
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name, None)!r}" for name in ("alg", "kid")]  # not made yet: None
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} holds connections and secrets and cannot be pickled")


def signature_from_der(der: bytes, alg: str) -> bytes:
    """Return R || S of a DER signature, of the algorithm's size (RFC 7518 s.3.4).

    Raises:
        InternalError: ``signature_faulty``: no DER signature, or numbers too large for the curve.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    size = (ALGORITHM_TABLE[alg].signature_bytes or 0) // 2
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except (ValueError, OverflowError):
        raise error_for("signature_faulty", "signature", f"DER for {alg}") from None


def unavailable(place: str, actual: str) -> RapidJWSError:
    """Return the error for a backend that does not answer."""
    return error_for("signer_unavailable", place, actual=actual)


def refused(place: str, expected: str, actual: str | None = None) -> RapidJWSError:
    """Return the error for a key or a permission that the backend refuses."""
    return error_for("signer_refused", place, expected, actual)
