"""``PyJWT``: ``encode``, ``decode`` and ``decode_complete``.

A call takes the engine's way where it can: one engine for key and algorithms, the claims checked after it. A
token that the engine does not accept goes step by step through ``PyJWS``, which knows PyJWT's errors.
"""

from __future__ import annotations

import json
import time
import warnings
from calendar import timegm
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from rapidjws import _native
from rapidjws.compat.pyjwt.algorithms import BUILT_IN
from rapidjws.compat.pyjwt.api_jwk import PyJWK
from rapidjws.compat.pyjwt.api_jws import ALGORITHM_UNSET, PyJWS, global_jws, warn_of_more
from rapidjws.compat.pyjwt.claims import ClaimsChecks, are_plain
from rapidjws.compat.pyjwt.engine_keys import verified_token
from rapidjws.compat.pyjwt.exceptions import DecodeError, InvalidSignatureError
from rapidjws.compat.pyjwt.options import CLAIM_SWITCHES, checked_switches
from rapidjws.compat.pyjwt.reading import claims_of, is_whole
from rapidjws.compat.pyjwt.types import FullOptions, Options, SigOptions
from rapidjws.errors import RapidJWSError, SignatureInvalid

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS


_VERIFY_IGNORED: Final = (
    "The `verify` argument to `decode` does nothing in PyJWT 2.0 and newer. The equivalent is setting "
    "`verify_signature` to False in the `options` dictionary. This invocation has a mismatch between the "
    "kwarg and the option entry."
)


class PyJWT(ClaimsChecks):
    """Signs and verifies Claims Sets.

    Args:
        options: Defaults of the calls.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options: FullOptions = self._get_default_options()
        if options is not None:
            self.options = self._merge_options(options)
        self._jws = PyJWS(options=self._get_sig_options())

    @staticmethod
    def _get_default_options() -> FullOptions:
        return {
            "verify_signature": True,
            "verify_exp": True,
            "verify_nbf": True,
            "verify_iat": True,
            "verify_aud": True,
            "verify_iss": True,
            "verify_sub": True,
            "verify_jti": True,
            "require": [],
            "strict_aud": False,
            "enforce_minimum_key_length": False,
        }

    def _get_sig_options(self) -> SigOptions:
        return {
            "verify_signature": self.options["verify_signature"],
            "enforce_minimum_key_length": self.options.get("enforce_minimum_key_length", False),
        }

    def _merge_options(self, options: Options | None = None) -> FullOptions:
        """Return all options; those of claims follow ``verify_signature`` where they are not given."""
        if options is None:
            return self.options
        checked_switches(options)
        merged: dict[str, Any] = {**self.options, **options}
        if not options.get("verify_signature", True):
            merged.update({name: options.get(name, False) for name in CLAIM_SWITCHES})
        return cast("FullOptions", merged)

    def encode(
        self,
        payload: dict[str, Any],
        key: Any,
        algorithm: str | None = ALGORITHM_UNSET,
        headers: dict[str, Any] | None = None,
        json_encoder: type[json.JSONEncoder] | None = None,
        sort_headers: bool = True,
    ) -> str:
        """Sign claims; ``exp``, ``iat`` and ``nbf`` may be datetimes.

        Args:
            payload: The claims.
            key: As for ``PyJWS.encode``.
            algorithm: As for ``PyJWS.encode``.
            headers: As for ``PyJWS.encode``.
            json_encoder: How claims and header are written.
            sort_headers: As for ``PyJWS.encode``.

        Returns:
            The compact token.

        Raises:
            TypeError: The payload is no dict, ``iss`` no text, or a claim nothing that JSON can hold.
            InvalidKeyError: As ``PyJWS.encode``.
            NotImplementedError: As ``PyJWS.encode``.
        """
        if not isinstance(payload, dict):
            raise TypeError("Expecting a dict object, as JWT only supports JSON objects as payloads.")
        claims = payload.copy()
        for name in ("exp", "iat", "nbf"):
            if isinstance(claims.get(name), datetime):
                claims[name] = timegm(claims[name].utctimetuple())
        if "iss" in claims and not isinstance(claims["iss"], str):
            raise TypeError("Issuer (iss) must be a string.")
        octets = self._encode_payload(claims, headers=headers, json_encoder=json_encoder)
        return self._jws.encode(octets, key, algorithm, headers, json_encoder, sort_headers=sort_headers)

    def _encode_payload(
        self,
        payload: dict[str, Any],
        headers: dict[str, Any] | None = None,
        json_encoder: type[json.JSONEncoder] | None = None,
    ) -> bytes:
        """Write claims as octets; for subclasses to change."""
        return json.dumps(payload, separators=(",", ":"), cls=json_encoder).encode("utf-8")

    def decode_complete(
        self,
        jwt: str | bytes,
        key: Any = "",
        algorithms: Sequence[str] | None = None,
        options: Options | None = None,
        verify: bool | None = None,
        detached_payload: bytes | None = None,
        audience: str | Iterable[str] | None = None,
        issuer: str | Container[str] | None = None,
        subject: str | None = None,
        leeway: float | timedelta = 0,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Verify a token; return its claims, header and signature as ``payload``, ``header``, ``signature``.

        Args:
            jwt: The compact token.
            key: A public key or a secret: text, bytes, a key object or a PyJWK.
            algorithms: The algorithms allowed; a PyJWK has its own.
            options: As ``Options``. ``verify_signature=False`` reads the token WITHOUT VERIFYING it: anybody
                can write what is returned.
            verify: Ignored, with a warning where it disagrees with the options.
            detached_payload: The payload of a token with ``b64`` False.
            audience: The audiences, one of which ``aud`` must have.
            issuer: The issuers, one of which ``iss`` must be.
            subject: What ``sub`` must be where it is there.
            leeway: Seconds that clocks may differ.
            kwargs: Ignored, with a warning.

        Raises:
            InvalidTokenError: Or one below it, as ``exceptions`` lists them.
            InvalidKeyError: The key does not serve the algorithm.
            TypeError: An argument or a switch of the options is of the wrong type.
            ValueError: The leeway is not finite.
        """
        warn_of_more("decode_complete", kwargs)
        must_verify = True if options is None else options.get("verify_signature", True)
        if verify is not None and verify != must_verify:
            warnings.warn(_VERIFY_IGNORED, category=DeprecationWarning, stacklevel=2)
        merged = self._merge_options(options)
        if must_verify and detached_payload is None and self._is_plain():
            verified = self._verified(jwt, key, algorithms, time.time())
            if verified is not None:
                self._validate_claims(verified.claims, merged, audience, issuer, subject, leeway)
                return _complete(verified, jwt)
        rules = (merged, audience, issuer, subject, leeway)
        return self._step_by_step(jwt, key, algorithms, must_verify, detached_payload, rules)

    def _step_by_step(
        self,
        jwt: Any,
        key: Any,
        algorithms: Any,
        must_verify: bool,
        detached_payload: bytes | None,
        rules: tuple[Any, ...],
    ) -> dict[str, Any]:
        """Return the parts of a token in PyJWT's order of checks, each of which may be a subclass's."""
        merged, audience, issuer, subject, leeway = rules
        switches = cast("SigOptions", {**merged, "verify_signature": must_verify})
        decoded = self._jws.decode_complete(
            jwt, key=key, algorithms=algorithms, options=switches, detached_payload=detached_payload
        )
        payload = self._decode_payload(decoded)
        self._validate_claims(
            payload, merged, audience=audience, issuer=issuer, leeway=leeway, subject=subject
        )
        decoded["payload"] = payload
        return decoded

    def decode(
        self,
        jwt: str | bytes,
        key: Any = "",
        algorithms: Sequence[str] | None = None,
        options: Options | None = None,
        verify: bool | None = None,
        detached_payload: bytes | None = None,
        audience: str | Iterable[str] | None = None,
        subject: str | None = None,
        issuer: str | Container[str] | None = None,
        leeway: float | timedelta = 0,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Verify a token; return its claims. Arguments and errors as ``decode_complete``."""
        if verify is None and detached_payload is None and not kwargs and self.__class__ is PyJWT:
            merged = self.options if options is None else self._merge_options(options)
            if (options is None or options.get("verify_signature", True)) and self._jws.__class__ is PyJWS:
                now = time.time()
                verified = self._verified(jwt, key, algorithms, now)
                if verified is not None:
                    claims = verified.claims
                    if subject is not None or not are_plain(claims, merged, audience, issuer, leeway, now):
                        self._validate_claims(claims, merged, audience, issuer, subject, leeway)
                    return claims
                rules = (merged, audience, issuer, subject, leeway)
                payload = self._step_by_step(jwt, key, algorithms, True, None, rules)["payload"]
                return cast("dict[str, Any]", payload)
        warn_of_more("decode", kwargs)
        decoded = self.decode_complete(
            jwt,
            key,
            algorithms,
            options,
            verify=verify,
            detached_payload=detached_payload,
            audience=audience,
            subject=subject,
            issuer=issuer,
            leeway=leeway,
        )
        return cast("dict[str, Any]", decoded["payload"])

    def _is_plain(self) -> bool:
        """Return whether nothing of this class was replaced by a subclass."""
        return self.__class__ is PyJWT and self._jws.__class__ is PyJWS

    def _verified(self, jwt: Any, key: Any, algorithms: Any, now: float) -> VerifiedJWS | None:
        """Return a token that the engine accepts, or None where the way step by step has to decide.

        Raises:
            InvalidSignatureError: The signature is bad, and nothing that PyJWT looks at before it.
        """
        if jwt.__class__ is not str and jwt.__class__ is not bytes:
            return None
        if algorithms.__class__ is str:
            algorithms = (algorithms,)
        if isinstance(key, PyJWK):
            name = key.algorithm_name
            if name not in self._jws.built_in or key.Algorithm is not BUILT_IN[name]:
                return None
            if algorithms is not None and name not in algorithms:
                return None
            key, algorithms = key.key, (name,)
        elif not algorithms:
            return None
        try:
            return verified_token(key, algorithms, self._jws.built_in, jwt, int(now))
        except SignatureInvalid as refused:
            if is_whole(jwt):
                raise InvalidSignatureError("Signature verification failed") from refused
            return None
        except RapidJWSError:
            return None

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        """Read claims from octets; for subclasses to change."""
        return claims_of(decoded["payload"])


def _complete(verified: VerifiedJWS, token: str | bytes) -> dict[str, Any]:
    """Return all three parts of a verified token."""
    octets = token.encode("ascii") if isinstance(token, str) else token
    return {
        "payload": verified.claims,
        "header": dict(verified.header),
        "signature": _native.b64url_decode(octets.rpartition(b".")[2]),
    }


__all__ = ["DecodeError", "PyJWT", "decode", "decode_complete", "encode"]

_global: Final = PyJWT()
_global._jws = global_jws
encode = _global.encode
decode_complete = _global.decode_complete
decode = _global.decode
