"""``PyJWS``: signed octets, step by step in PyJWT's order, each signature checked by the engine."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from rapidjws.compat.pyjwt.algorithms import BUILT_IN, Algorithm
from rapidjws.compat.pyjwt.api_jwk import PyJWK
from rapidjws.compat.pyjwt.engine_keys import check_length, signature_key
from rapidjws.compat.pyjwt.exceptions import (
    DecodeError,
    InvalidAlgorithmError,
    InvalidKeyError,
    InvalidSignatureError,
    InvalidTokenError,
)
from rapidjws.compat.pyjwt.options import checked_switches
from rapidjws.compat.pyjwt.reading import Parts, check_members, segment, split
from rapidjws.compat.pyjwt.types import SigOptions
from rapidjws.compat.pyjwt.utils import base64url_encode
from rapidjws.compat.pyjwt.warnings import RemovedInPyjwt3Warning

ALGORITHM_UNSET: Final[Any] = object()
_ALL_BUILT_IN: Final = frozenset(BUILT_IN)
_DETACHED_WITH_B64: Final = (
    'It is only valid to pass "detached_payload" when the protected header has "b64" set to false.'
)


def allowed_names(algorithms: Any) -> Any:
    """Return the caller's algorithms: text is one name, not the names that it holds a part of."""
    return (algorithms,) if isinstance(algorithms, str) else algorithms


def warn_of_more(name: str, more: Mapping[str, Any]) -> None:
    """Warn of arguments that are unknown."""
    if more:
        warnings.warn(
            f"passing additional kwargs to {name}() is deprecated and will be removed in pyjwt version 3. "
            f"Unsupported kwargs: {tuple(more)}",
            RemovedInPyjwt3Warning,
            stacklevel=3,
        )


class PyJWS:
    """Signs and verifies octets.

    Args:
        algorithms: Which of the algorithms built in are there; None for all.
        options: Defaults of the calls.
    """

    header_typ = "JWT"
    _supported_crit = frozenset({"b64"})

    def __init__(self, algorithms: Sequence[str] | None = None, options: SigOptions | None = None) -> None:
        names = set(BUILT_IN) if algorithms is None else set(algorithms)
        self._algorithms: dict[str, Algorithm] = {
            name: algorithm for name, algorithm in BUILT_IN.items() if name in names
        }
        self._valid_algs = names
        self.options: SigOptions = self._get_default_options()
        if options is not None:
            checked_switches(options)
            self.options = cast("SigOptions", {**self.options, **options})
        self._note_built_in()

    @staticmethod
    def _get_default_options() -> SigOptions:
        return {"verify_signature": True, "enforce_minimum_key_length": False}

    def _note_built_in(self) -> None:
        """Note which algorithms are those built in: the engine serves no others."""
        found = frozenset(
            name for name, algorithm in self._algorithms.items() if BUILT_IN.get(name) is algorithm
        )
        self.built_in: frozenset[str] = _ALL_BUILT_IN if found == _ALL_BUILT_IN else found

    def register_algorithm(self, alg_id: str, alg_obj: Algorithm) -> None:
        """Add an algorithm; raises ValueError where there is one of the name, TypeError for no Algorithm."""
        if alg_id in self._algorithms:
            raise ValueError("Algorithm already has a handler.")
        if not isinstance(alg_obj, Algorithm):
            raise TypeError("Object is not of type `Algorithm`")
        self._algorithms[alg_id] = alg_obj
        self._valid_algs.add(alg_id)
        self._note_built_in()

    def unregister_algorithm(self, alg_id: str) -> None:
        """Take an algorithm away; raises KeyError where there is none of the name."""
        if alg_id not in self._algorithms:
            raise KeyError("The specified algorithm could not be removed because it is not registered.")
        del self._algorithms[alg_id]
        self._valid_algs.discard(alg_id)
        self._note_built_in()

    def get_algorithms(self) -> list[str]:
        """Return the names of the algorithms."""
        return list(self._valid_algs)

    def get_algorithm_by_name(self, alg_name: str) -> Algorithm:
        """Return an algorithm; raises NotImplementedError where there is none of the name."""
        try:
            return self._algorithms[alg_name]
        except (KeyError, TypeError) as fault:
            raise NotImplementedError("Algorithm not supported") from fault

    def encode(
        self,
        payload: bytes,
        key: Any,
        algorithm: str | None = ALGORITHM_UNSET,
        headers: dict[str, Any] | None = None,
        json_encoder: type[json.JSONEncoder] | None = None,
        is_payload_detached: bool = False,
        sort_headers: bool = True,
    ) -> str:
        """Sign octets.

        Args:
            payload: The octets.
            key: A private key or a secret: text, bytes, a key object or a PyJWK.
            algorithm: The algorithm; by default that of a PyJWK, else HS256. ``alg`` of ``headers`` wins.
            headers: Further members of the header.
            json_encoder: How the header is written.
            is_payload_detached: Whether the payload is left out, unencoded (RFC 7797).
            sort_headers: Whether the header's members are sorted.

        Returns:
            The compact token.

        Raises:
            NotImplementedError: The algorithm is unknown; ``none`` is.
            InvalidKeyError: The key does not serve it.
            InvalidTokenError: ``kid`` or ``crit`` of ``headers`` is of the wrong type.
        """
        more = headers or {}
        name = more.get("alg") or _default_algorithm(key, algorithm)
        is_detached = is_payload_detached or more.get("b64") is False
        header: dict[str, Any] = {"typ": self.header_typ, "alg": name}
        if headers:
            self._validate_headers(headers, encoding=True)
            header.update(headers)
        if not header["typ"]:
            del header["typ"]
        if is_detached:
            _mark_unencoded(header)
        else:
            header.pop("b64", None)
        text = json.dumps(header, separators=(",", ":"), cls=json_encoder, sort_keys=sort_headers)
        first = base64url_encode(text.encode())
        second = payload if is_detached else base64url_encode(payload)
        algorithm_object = self.get_algorithm_by_name(name)
        prepared = algorithm_object.prepare_key(key.key if isinstance(key, PyJWK) else key)
        check_length(algorithm_object.check_key_length(prepared), self.options)
        signature = base64url_encode(algorithm_object.sign(first + b"." + second, prepared))
        return b".".join([first, b"" if is_detached else second, signature]).decode()

    def decode_complete(
        self,
        jwt: str | bytes,
        key: Any = "",
        algorithms: Sequence[str] | None = None,
        options: SigOptions | None = None,
        detached_payload: bytes | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Verify a token; return its payload, header and signature under these names.

        Args:
            jwt: The compact token.
            key: A public key or a secret: text, bytes, a key object or a PyJWK.
            algorithms: The algorithms allowed; a PyJWK has its own.
            options: ``verify_signature=False`` reads the token WITHOUT VERIFYING it: anybody can write what
                is returned. ``enforce_minimum_key_length=True`` refuses weak keys.
            detached_payload: The payload of a token with ``b64`` False.
            kwargs: Ignored, with a warning.

        Raises:
            InvalidTokenError: Or one below it, as ``exceptions`` lists them.
            InvalidKeyError: The key does not serve the algorithm.
        """
        warn_of_more("decode_complete", kwargs)
        merged: Mapping[str, Any] = self.options
        if options is not None:
            checked_switches(options)
            merged = {**self.options, **options}
        return self._decode(jwt, key, algorithms, merged, detached_payload)

    def _decode(
        self, jwt: Any, key: Any, algorithms: Any, options: Mapping[str, Any], detached_payload: bytes | None
    ) -> dict[str, Any]:
        must_verify = options["verify_signature"]
        if must_verify and not algorithms and not isinstance(key, PyJWK):
            raise DecodeError(
                'It is required that you pass in a value for the "algorithms" argument when calling decode().'
            )
        parts = split(jwt)
        self._validate_headers(parts.header)
        parts = _with_detached(parts, detached_payload)
        if must_verify:
            self._verify_signature(parts, key, algorithms, options)
        return {"payload": parts.payload, "header": parts.header, "signature": parts.signature}

    def decode(
        self,
        jwt: str | bytes,
        key: Any = "",
        algorithms: Sequence[str] | None = None,
        options: SigOptions | None = None,
        detached_payload: bytes | None = None,
        **kwargs: Any,
    ) -> Any:
        """Verify a token; return its payload. Arguments and errors as ``decode_complete``."""
        warn_of_more("decode", kwargs)
        decoded = self.decode_complete(jwt, key, algorithms, options, detached_payload=detached_payload)
        return decoded["payload"]

    def get_unverified_header(self, jwt: str | bytes) -> dict[str, Any]:
        """Return a token's header WITHOUT VERIFYING it: anybody can write this.

        Raises:
            DecodeError: It is no compact token.
            InvalidTokenError: ``kid`` or ``crit`` is of the wrong type.
        """
        header = split(jwt).header
        self._validate_headers(header)
        return header

    def _verify_signature(self, parts: Parts, key: Any, algorithms: Any, options: Mapping[str, Any]) -> None:
        """Verify by the caller's algorithms: the header only chooses among these (RFC 8725 s.3.1)."""
        allowed = allowed_names(algorithms)
        if allowed is None and isinstance(key, PyJWK):
            allowed = (key.algorithm_name,)
        header = parts.header
        if "alg" not in header:
            raise InvalidAlgorithmError("Algorithm not specified")
        alg = header["alg"]
        if not isinstance(alg, str) or not alg or (allowed is not None and alg not in allowed):
            raise InvalidAlgorithmError("The specified alg value is not allowed")
        algorithm, key = self._algorithm_and_key(alg, key)
        check_members(header)
        if BUILT_IN.get(alg) is algorithm:
            ready = signature_key(alg, algorithm, key)
            check_length(ready.message, options)
            is_good = ready.verify(parts.signing_input, parts.signature)
        else:
            prepared = algorithm.prepare_key(key)
            check_length(algorithm.check_key_length(prepared), options)
            is_good = algorithm.verify(parts.signing_input, prepared, parts.signature)
        if is_good is not True:
            raise InvalidSignatureError("Signature verification failed")

    def _algorithm_and_key(self, alg: str, key: Any) -> tuple[Algorithm, Any]:
        """Return who verifies, and with what: a PyJWK is bound to its own algorithm."""
        if isinstance(key, PyJWK):
            if alg != key.algorithm_name:
                raise InvalidAlgorithmError(
                    f"Token algorithm {alg!r} does not match the key's algorithm {key.algorithm_name!r}"
                )
            return key.Algorithm, key.key
        try:
            return self.get_algorithm_by_name(alg), key
        except NotImplementedError as fault:
            raise InvalidAlgorithmError("Algorithm not supported") from fault

    @staticmethod
    def _decode_base64url_segment(segment_text: bytes, name: str) -> bytes:
        return segment(segment_text, name)

    def _validate_headers(self, headers: Mapping[str, Any], *, encoding: bool = False) -> None:
        if "kid" in headers and not isinstance(headers["kid"], str):
            raise InvalidTokenError("Key ID header parameter must be a string")
        if not encoding and "crit" in headers:
            self._validate_crit(headers)

    def _validate_crit(self, headers: Mapping[str, Any]) -> None:
        """Refuse what is critical and not understood (RFC 7515 s.4.1.11)."""
        crit = headers["crit"]
        if not isinstance(crit, list) or not crit:
            raise InvalidTokenError("Invalid 'crit' header: must be a non-empty list")
        for name in crit:
            if not isinstance(name, str):
                raise InvalidTokenError("Invalid 'crit' header: values must be strings")
            if name not in self._supported_crit:
                raise InvalidTokenError(f"Unsupported critical extension: {name}")
            if name not in headers:
                raise InvalidTokenError(f"Critical extension '{name}' is missing from headers")


def _default_algorithm(key: Any, algorithm: Any) -> str:
    """Return the algorithm where the header names none."""
    if algorithm is not ALGORITHM_UNSET and algorithm is not None:
        return str(algorithm)
    if isinstance(key, PyJWK):
        return key.algorithm_name
    return "HS256" if algorithm is ALGORITHM_UNSET else "none"


def _mark_unencoded(header: dict[str, Any]) -> None:
    """Write ``b64`` False and its name in ``crit`` (RFC 7797 s.3, s.6)."""
    header["b64"] = False
    crit = header.get("crit", [])
    if not isinstance(crit, list):
        raise InvalidTokenError("Invalid 'crit' header: must be a list")
    if "b64" not in crit:
        header["crit"] = [*crit, "b64"]


def _with_detached(parts: Parts, detached_payload: bytes | None) -> Parts:
    """Put a detached payload in its place (RFC 7797 s.5)."""
    header = parts.header
    if header.get("b64", True) is not False:
        if detached_payload is not None:
            raise DecodeError(_DETACHED_WITH_B64)
        return parts
    crit = header.get("crit")
    if not isinstance(crit, list) or "b64" not in crit:
        raise InvalidTokenError("The 'b64' header parameter requires 'b64' to be listed in 'crit'.")
    if detached_payload is None:
        raise DecodeError(
            'It is required that you pass in a value for the "detached_payload" argument '
            "to decode a message having the b64 header set to false."
        )
    return parts._replace(
        payload=detached_payload,
        signing_input=parts.signing_input.rsplit(b".", 1)[0] + b"." + detached_payload,
    )


__all__ = ["InvalidKeyError", "PyJWS"]

global_jws: Final = PyJWS()
encode = global_jws.encode
decode_complete = global_jws.decode_complete
decode = global_jws.decode
register_algorithm = global_jws.register_algorithm
unregister_algorithm = global_jws.unregister_algorithm
get_algorithm_by_name = global_jws.get_algorithm_by_name
get_unverified_header = global_jws.get_unverified_header
