"""Keys as PyJWT takes them, made ready for the engine: an engine for a call, or a key for one signature.

Engines are cached by key, algorithms and the algorithms registered. A key of several families is none: text
that reads as a public key is no secret (RFC 8725 s.2.1), so each text serves one family.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from rapidjws.compat.pyjwt.algorithms import BUILT_IN, Algorithm
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.key_cache import KeyCache
from rapidjws.compat.pyjwt.legacy_key import legacy_key
from rapidjws.compat.pyjwt.warnings import InsecureKeyLengthWarning
from rapidjws.errors import RapidJWSError
from rapidjws.jose import limits
from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jose.jwk import JWK
from rapidjws.jwt.cache import TokenCache
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.verify.key_table import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

MAX_ENGINES: Final = 64
"""Engines of one generation of the cache; two are kept."""
MAX_SIGNATURE_KEYS: Final = 256
PRECOMPUTE_BUDGET_BYTES: Final = 2 << 20
"""Of one engine, which has one key."""
REMEMBERED_TOKENS: Final = 4096
REMEMBERED_BYTES: Final = 8 << 20

_engines: Final[KeyCache[Engine | bool]] = KeyCache(MAX_ENGINES)
_signature_keys: Final[KeyCache[SignatureKey]] = KeyCache(MAX_SIGNATURE_KEYS)
_remembered: Final = TokenCache(REMEMBERED_TOKENS, REMEMBERED_BYTES)
"""Verified tokens of public keys: the next call checks their claims only. MACs are as cheap to verify."""


class SignatureKey(Protocol):
    """A key for one algorithm.

    Attributes:
        message: Why it is weak, or None.
    """

    message: str | None

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether the signature is the key's; for use behind a raising function only."""


class _EngineKey:
    """A key that the engine takes."""

    __slots__ = ("_prepared", "message")

    def __init__(self, jwk: JWK, alg: str) -> None:
        self._prepared = prepare(jwk, alg)
        self.message: str | None = None

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        return self._prepared.verify(signing_input, signature)


def identity_of(key: Any) -> Any:
    """Return what a key is found by in a cache: text and bytes by value, other objects by their ``id``."""
    return key if key.__class__ in (str, bytes) else id(key)


def engine_for(key: Any, algorithms: Any, built_in: frozenset[str]) -> Engine | None:
    """Return the engine for a key and the caller's algorithms.

    Args:
        key: Text, bytes or a key object.
        algorithms: A list or tuple of names.
        built_in: The names of the algorithms that are in use as they are built in here.

    Returns:
        The engine, or None where the key serves none of the algorithms without a warning.
    """
    kind = algorithms.__class__
    if kind is not list and kind is not tuple:  # an iterator must be left for those who ask it
        return None
    try:
        is_value = key.__class__ is str or key.__class__ is bytes
        identity = (key if is_value else id(key), tuple(algorithms), built_in)
        entry = _engines.young.get(identity)
    except TypeError:  # names that are no text
        return None
    if entry is not None and (is_value or entry[0] is key):
        found: Engine | bool | None = entry[1]
    else:
        found = _engines.get(identity, key)
    if found is None:
        if not all(name.__class__ is str for name in algorithms):
            return None
        found = _new_engine(key, tuple(algorithms), built_in) or False
        _engines.put(identity, key, found)
    return None if found.__class__ is bool else cast("Engine", found)


def _new_engine(key: Any, algorithms: tuple[str, ...], built_in: frozenset[str]) -> Engine | None:
    """Build an engine that checks signatures and JSON, and leaves claims to the caller."""
    served: list[str] = []
    jwk: JWK | None = None
    for name in dict.fromkeys(algorithms):
        algorithm = BUILT_IN.get(name)
        if algorithm is None or name not in built_in or algorithm.engine_name != name:
            continue
        try:
            prepared = algorithm.prepare_key(key)
            if algorithm.check_key_length(prepared) is not None:
                continue
            found = _jwk_of(algorithm, prepared)
        except Exception:  # the way step by step finds the words for the caller, if a token asks for it
            continue
        if (jwk is None or jwk == found) and name in found.algorithms:
            jwk = found
            served.append(name)
    if jwk is None:
        return None
    return Engine(
        Issuer(
            None,
            keys=jwk,
            algorithms=served,
            audience=NOT_CHECKED,
            exp_required=False,
            leeway_s=limits.LEEWAY_MAX_S,
        ),
        max_token_bytes=limits.TOKEN_CEILING_BYTES,
        max_header_bytes=limits.HEADER_CEILING_BYTES,
        workers=1,
        precompute_budget_bytes=PRECOMPUTE_BUDGET_BYTES,
        cache=None if jwk.is_symmetric else _remembered,
        counters=False,
    )


def signature_key(name: str, algorithm: Algorithm, key: Any) -> SignatureKey:
    """Return a key for one of the algorithms built in.

    Args:
        name: The algorithm's name.
        algorithm: The algorithm.
        key: Text, bytes or a key object.

    Raises:
        InvalidKeyError: It does not serve the algorithm, or is unsound.
        ValueError: As the algorithm's ``prepare_key``.
        TypeError: As the algorithm's ``prepare_key``.
    """
    identity = (identity_of(key), name)
    found = _signature_keys.get(identity, key)
    if found is None:
        found = _new_signature_key(name, algorithm, key)
        _signature_keys.put(identity, key, found)
    return found


def _new_signature_key(name: str, algorithm: Algorithm, key: Any) -> SignatureKey:
    prepared = algorithm.prepare_key(key)
    message = algorithm.check_key_length(prepared)
    if message is not None:
        return cast("SignatureKey", legacy_key(algorithm, prepared, message))
    try:
        return _EngineKey(_jwk_of(algorithm, prepared), algorithm.engine_name or name)
    except RapidJWSError as refused:
        raise InvalidKeyError(str(refused)) from refused


def _jwk_of(algorithm: Algorithm, prepared: Any) -> JWK:
    """Return the engine's form of a prepared key; raises RapidJWSError for an unsound one."""
    if isinstance(prepared, bytes):
        return JWK.from_secret(prepared)
    public = prepared.public_key() if hasattr(prepared, "public_key") else prepared
    members = dict(cast("dict[str, Any]", algorithm.to_jwk(public, as_dict=True)))
    members.pop("key_ops", None)
    return JWK.from_json(members)


def check_length(message: str | None, options: Mapping[str, Any]) -> None:
    """Warn of a weak key at the application's line, or refuse it where the option says so.

    Args:
        message: Why it is weak, or None.
        options: The options of the call.

    Raises:
        InvalidKeyError: ``enforce_minimum_key_length`` is True.
    """
    if message is None:
        return
    if options.get("enforce_minimum_key_length", False):
        raise InvalidKeyError(message)
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("rapidjws.compat.pyjwt"):
        frame = frame.f_back
        level += 1
    warnings.warn(message, InsecureKeyLengthWarning, stacklevel=level)


def forget_keys() -> None:
    """Forget all engines, keys and tokens that are cached."""
    _engines.clear()
    _signature_keys.clear()
    _remembered.clear()
