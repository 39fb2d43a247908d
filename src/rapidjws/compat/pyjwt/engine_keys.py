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
from rapidjws.compat.pyjwt.verified_tokens import VerifiedTokens
from rapidjws.compat.pyjwt.warnings import InsecureKeyLengthWarning
from rapidjws.errors import RapidJWSError
from rapidjws.jose import limits
from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jose.jwk import JWK
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.verify.key_table import prepare
from rapidjws.verify.result import VerifiedCompact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from rapidjws.verify.result import VerifiedJWS

MAX_ENGINES: Final = 64
"""Engines of one generation of the cache; two are kept."""
MAX_SIGNATURE_KEYS: Final = 256
PRECOMPUTE_BUDGET_BYTES: Final = 2 << 20
"""Of one engine, which has one key."""

KeyEngine = tuple[Engine, VerifiedTokens | None]
"""An engine of one key, and the memory of tokens that it verified, if it has any."""

_engines: Final[KeyCache[KeyEngine | tuple[()]]] = KeyCache(MAX_ENGINES)
_signature_keys: Final[KeyCache[SignatureKey]] = KeyCache(MAX_SIGNATURE_KEYS)
_remembered: Final = VerifiedTokens()
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


def engine_for(key: Any, algorithms: Any, built_in: frozenset[str]) -> KeyEngine | None:
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
    kind = key.__class__
    is_value = kind is str or kind is bytes
    try:
        identity = (key if is_value else id(key), tuple(algorithms), built_in)
        entry = _engines.young.get(identity)
    except TypeError:  # names that are no text
        return None
    if entry is not None and (is_value or entry[0] is key):
        return entry[1] or None
    found = _engines.get(identity, key)
    if found is None:
        if not all(name.__class__ is str for name in algorithms):
            return None
        found = _new_engine(key, tuple(algorithms), built_in) or ()
        _engines.put(identity, key, found)
    return found or None


def verified_token(
    key: Any, algorithms: Any, built_in: frozenset[str], token: str | bytes, now_s: int
) -> VerifiedJWS | None:
    """Verify a token; the signature of one that this key verified before is not verified again.

    Args:
        key: As for ``engine_for``.
        algorithms: As for ``engine_for``.
        built_in: As for ``engine_for``.
        token: Text or bytes, and of no subclass of these.
        now_s: Seconds since the epoch.

    Returns:
        The token, or None where there is no engine for the key.

    Raises:
        RapidJWSError: As ``Engine.verify``.
    """
    found = engine_for(key, algorithms, built_in)
    if found is None:
        return None
    engine, remembered = found
    if remembered is None:
        return engine.verify(token, now_s)
    before = remembered.key(token, engine)
    if before is not None:
        octets = token.encode("ascii") if isinstance(token, str) else token
        snapshot = engine._snapshot
        result = snapshot.recheck(octets, now_s * SECOND_NS, snapshot.table.numbers[before])
        if result.__class__ is VerifiedCompact:
            return cast("VerifiedJWS", result)
    verified: VerifiedJWS = engine.verify(token, now_s)
    remembered.put(token, engine, verified._key)
    return verified


def _new_engine(key: Any, algorithms: tuple[str, ...], built_in: frozenset[str]) -> KeyEngine | None:
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
    engine = Engine(
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
        counters=False,
    )
    return engine, None if jwk.is_symmetric else _remembered


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
