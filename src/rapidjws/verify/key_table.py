"""Keys made ready for use: which key serves which algorithm, and which slot answers for a header.

A slot is one key serving one algorithm for one issuer. What an issuer has (:class:`IssuerKeys`) is built
once, off the verification path; a :class:`KeyTable` lays the issuers' slots end to end. Both never change.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import error_for
from rapidjws.jose.certificate_names import marks_of_header
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.verify.pyca_backend import PycaKey, foreign_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rapidjws.jose.jwk import JWK
    from rapidjws.jose.jwks import Skipped
    from rapidjws.jose.jws import Header

_STATUS_CODES: Final = {
    "key_malformed": "key_malformed",
    "key_weak": "key_weak",
    "not_native": "key_unsupported",
}


def native_number(alg: str, crv: str | None) -> int:
    """Return the core's number for a JOSE algorithm on a curve: ``EdDSA`` is Ed25519 or Ed448 by its key."""
    return _native.ALG_NUMBERS[(crv or alg).upper() if ALGORITHM_TABLE[alg].kind == "eddsa" else alg]


class PreparedKey:
    """One JWK with its native form for one algorithm.

    Attributes:
        jwk: The key.
        alg: The JOSE algorithm it serves.
        number: The core's algorithm number.
        native: The core's key, or None where libcrypto lacks the algorithm.
        foreign: The pyca/cryptography key where ``native`` is None.
        name: The name of the issuer whose key it is, where keys were given under names.
        issuer_names: Every exact ``iss`` of the engine's issuer whose key it is, or its template.
    """

    __slots__ = ("_thumbprint", "alg", "foreign", "issuer_names", "jwk", "name", "native", "number")

    def __init__(
        self, jwk: JWK, alg: str, number: int, native: _native.NativeKey | None, foreign: PycaKey | None
    ) -> None:
        self.jwk = jwk
        self.alg = alg
        self.number = number
        self.native = native
        self.foreign = foreign
        self.name: str | None = None
        self.issuer_names: tuple[str, ...] = ()
        self._thumbprint: str | None = None

    @property
    def thumbprint(self) -> str:
        """Return the key's RFC 7638 thumbprint, computed once."""
        if self._thumbprint is None:
            self._thumbprint = self.jwk.thumbprint()
        return self._thumbprint

    def verify(self, signing_input: bytes, signature: bytes, *, accelerated: bool = True) -> bool:
        """Return whether the signature verifies; for use behind a raising face only."""
        if self.native is not None:
            status = self.native.verify(self.number, signing_input, signature, accelerated=accelerated)
            return status == _native.OK
        return self.foreign is not None and self.foreign.verify(signing_input, signature)


def prepare(jwk: JWK, alg: str, shared: dict[int, _native.NativeKey] | None = None) -> PreparedKey:
    """Build the native form of a key for an algorithm.

    Args:
        jwk: A key that can serve ``alg``.
        alg: A registered algorithm name.
        shared: RSA keys serve several algorithms with one native key: pass one dict a key to share it.

    Raises:
        HeaderRefused: ``key_alg_mismatch``.
        KeyRefused: ``key_malformed``, ``key_weak`` or ``key_unsupported``.
    """
    if alg not in jwk.algorithms:
        raise error_for("key_alg_mismatch", "key.alg", expected=jwk.alg or jwk.kty, actual=alg)
    number = native_number(alg, jwk.crv)
    if not _native.alg_is_native(number):
        return PreparedKey(jwk, alg, number, None, foreign_key(jwk, alg))
    kept = shared.get(0) if shared is not None and jwk.kty == "RSA" else None
    if kept is not None:
        return PreparedKey(jwk, alg, number, kept, None)
    built = _native.build_key(number, *jwk.material)
    if isinstance(built, int):
        code = _STATUS_CODES.get(_native.STATUS_NAMES[built], "internal_error")
        raise error_for(code, "key", actual=f"{jwk.kty} key for {alg}")
    if shared is not None:
        shared[0] = built
    return PreparedKey(jwk, alg, number, built, None)


@dataclass(frozen=True, slots=True)
class UnusableKey:
    """Why a key of a set serves nothing here.

    Attributes:
        kid: The key's kid, or None.
        code: The error code.
    """

    kid: str | None
    code: str


class _Known:
    """The prepared keys of an issuer from before a change, found by the JWK itself or by an equal one."""

    __slots__ = ("_named", "_previous", "algorithms", "by_id")

    def __init__(self, previous: IssuerKeys | None, algorithms: tuple[str, ...]) -> None:
        self.algorithms = algorithms
        self._previous = () if previous is None else previous.prepared
        self._named: dict[tuple[str | None, str], list[PreparedKey]] | None = None
        self.by_id: dict[int, list[PreparedKey]] = {}
        if previous is not None and previous.algorithms == algorithms:
            for key in previous.prepared:
                at = id(key.jwk)
                if at in self.by_id:
                    self.by_id[at].append(key)
                else:
                    self.by_id[at] = [key]

    def equal(self, jwk: JWK, alg: str) -> PreparedKey | None:
        """Return the key prepared from an equal JWK for this algorithm, or None."""
        if self._named is None:
            self._named = {}
            for key in self._previous:
                self._named.setdefault((key.jwk.kid, key.alg), []).append(key)
        same_name = self._named.get((jwk.kid, alg), ())
        return next((key for key in same_name if key.jwk == jwk), None)


def _prepare_all(jwk: JWK, known: _Known, prepared: list[PreparedKey], unusable: list[UnusableKey]) -> None:
    """Prepare a key for each of the caller's algorithms that it serves."""
    shared: dict[int, _native.NativeKey] = {}
    for alg in jwk.algorithms:
        if alg not in known.algorithms:
            continue
        try:
            prepared.append(known.equal(jwk, alg) or prepare(jwk, alg, shared))
        except Exception as fault:
            code = getattr(fault, "code", None)
            if code is None or code == "internal_error":  # a fault of ours: no good key is lost to it
                raise
            unusable.append(UnusableKey(jwk.kid, code))


class IssuerKeys:
    """All prepared keys of one issuer.

    Args:
        jwks: The issuer's keys.
        algorithms: The algorithms allowed for the issuer.
        previous: The issuer's keys before a change: what is unchanged is taken over, not built again.
        name: The name under which the caller gave the keys, or None.
        issuer_names: Every ``iss`` of the issuer.

    Attributes:
        prepared: All slots of the issuer, in order.
        by_kid: kid -> positions in ``prepared``.
        by_alg: Algorithm -> positions in ``prepared``.
        unusable: Keys that were left out, and why.
        jwks: The keys as they were given.
        left_out: What the issuer's set had left out before.
        is_usable: Whether any key serves one of the algorithms; revocation changes nothing of it.
        serves_any_kid: Whether keys without kid answer for tokens with one: they were given by themselves.
    """

    __slots__ = (
        "_ambiguous",
        "_by_mark",
        "_not_allowed",
        "_packed",
        "_without_kid",
        "algorithms",
        "by_alg",
        "by_kid",
        "is_usable",
        "jwks",
        "left_out",
        "prepared",
        "serves_any_kid",
        "unusable",
    )

    def __init__(
        self,
        jwks: Iterable[JWK],
        algorithms: Sequence[str],
        previous: IssuerKeys | None = None,
        name: str | None = None,
        issuer_names: tuple[str, ...] = (),
    ) -> None:
        self.algorithms = tuple(algorithms)
        self.left_out: tuple[Skipped, ...] = getattr(jwks, "skipped", ())
        self.jwks = tuple(jwks)
        self.serves_any_kid: bool = getattr(jwks, "serves_any_kid", False)
        self.is_usable = False
        self._ambiguous = frozenset(gone.kid for gone in self.left_out if gone.code == "duplicate_kid")
        allowed = frozenset(self.algorithms)
        self._not_allowed: dict[str, tuple[str, ...]] = {}
        for jwk in self.jwks:
            if jwk.kid is not None and allowed.isdisjoint(jwk.algorithms):
                self._not_allowed[jwk.kid] = self._not_allowed.get(jwk.kid, ()) + jwk.algorithms
        known = _Known(previous, self.algorithms)
        prepared: list[PreparedKey] = []
        unusable: list[UnusableKey] = []
        for jwk in self.jwks:
            same = known.by_id.get(id(jwk))
            if same is not None:
                prepared += same
            else:
                _prepare_all(jwk, known, prepared, unusable)
        for key in prepared:
            key.issuer_names = issuer_names
            if name is not None:
                key.name = name
        self._index(prepared, unusable)
        self.is_usable = bool(prepared)

    def _index(self, prepared: Sequence[PreparedKey], unusable: Sequence[UnusableKey]) -> None:
        self.prepared: tuple[PreparedKey, ...] = tuple(prepared)
        self.unusable = tuple(unusable)
        by_kid: dict[str | None, tuple[int, ...]] = {}
        by_alg: dict[str, list[int]] = {}
        without_kid: dict[str, list[int]] = {}
        seen: set[tuple[object, ...]] = set()
        for position, key in enumerate(prepared):
            kid = key.jwk.kid
            same: tuple[object, ...] = (key.alg, key.jwk.crv, key.jwk.material)
            if (kid, same) not in seen:  # entries of one kid that hold the same key are one
                seen.add((kid, same))
                by_kid[kid] = (*by_kid[kid], position) if kid in by_kid else (position,)
                if kid is None:
                    without_kid.setdefault(key.alg, []).append(position)
            if same not in seen:
                seen.add(same)
                by_alg.setdefault(key.alg, []).append(position)
        self.by_kid: Mapping[str | None, tuple[int, ...]] = by_kid
        self.by_alg: Mapping[str, tuple[int, ...]] = {alg: tuple(at) for alg, at in by_alg.items()}
        by_mark: dict[str, tuple[int, ...]] = {}
        for position, key in enumerate(prepared):
            for mark in (key.jwk.x5t_s256, key.jwk.x5t):
                if mark is not None:
                    by_mark[mark] = (*by_mark.get(mark, ()), position)
        self._by_mark = by_mark
        self._without_kid = {alg: tuple(at) for alg, at in without_kid.items()}
        self._packed: tuple[int, bytes] | None = None

    def without(self, is_gone: Callable[[PreparedKey], bool]) -> tuple[IssuerKeys, tuple[PreparedKey, ...]]:
        """Return the issuer's keys but some, and those left out."""
        removed = tuple(key for key in self.prepared if is_gone(key))
        if not removed:
            return self, removed
        rest = IssuerKeys.__new__(IssuerKeys)
        rest.algorithms = self.algorithms
        rest.jwks, rest.left_out = self.jwks, self.left_out
        rest._ambiguous, rest._not_allowed = self._ambiguous, self._not_allowed
        rest.serves_any_kid, rest.is_usable = self.serves_any_kid, self.is_usable
        gone = set(removed)
        rest._index([key for key in self.prepared if key not in gone], self.unusable)
        return rest, removed

    @property
    def kids(self) -> Iterator[str | None]:
        """Return the kids that name a key of the issuer, usable or not; None for a key without."""
        yield from self.by_kid
        yield from self._not_allowed.keys() - self.by_kid.keys()
        yield from self._ambiguous - self.by_kid.keys() - self._not_allowed.keys()

    @property
    def answers_any_kid(self) -> bool:
        """Return whether there is a key that answers for tokens with any kid."""
        return self.serves_any_kid and bool(self._without_kid)

    def named(self, kid: str, alg: str) -> Sequence[int]:
        """Return the positions of the keys that a header names.

        Raises:
            TokenRefused: ``unknown_kid``, ``ambiguous_key``, ``key_alg_mismatch``.
        """
        positions = self.by_kid.get(kid, ())
        fitting = [at for at in positions if self.prepared[at].alg == alg]
        if fitting:
            return fitting
        if kid in self._ambiguous:
            raise error_for("ambiguous_key", "header.kid", "a kid that stands once in the set", kid)
        found = (*(self.prepared[at].alg for at in positions), *self._not_allowed.get(kid, ()))
        if found:  # RFC 8725 s.3.1
            raise error_for("key_alg_mismatch", "header.alg", expected=found, actual=alg)
        if self.serves_any_kid and alg in self._without_kid:
            return self._without_kid[alg]
        raise error_for("unknown_kid", "header.kid", actual=kid)

    def without_kid(self, header: Header) -> Sequence[int]:
        """Return the positions of the keys for a header without kid: of its certificate, or all that fit.

        Raises:
            TokenRefused: ``no_suitable_key``; ``unknown_kid``: several fit, and none is of the certificate
                that the header names (RFC 7515 s.4.1.7, s.4.1.8).
        """
        fitting = self.by_alg.get(header.alg, ())
        if not fitting:
            raise error_for("no_suitable_key", "header.alg", actual=header.alg)
        marks = marks_of_header(header.raw) if self._by_mark else ()
        for mark in marks:
            found = [at for at in self._by_mark.get(mark, ()) if self.prepared[at].alg == header.alg]
            if found:
                return found
        if marks and len(fitting) > 1:
            raise error_for("unknown_kid", "header.x5t")
        return fitting

    def reasons(self) -> tuple[str, ...]:
        """Return why each key serves nothing here, in words; for an issuer without a usable key."""
        found = [f"kid {one.kid!a}: {one.code}" for one in self.unusable]
        allowed = set(self.algorithms)
        for jwk in self.jwks:
            if allowed.isdisjoint(jwk.algorithms):
                served = ", ".join(jwk.algorithms) or f"no algorithm ({jwk.kty})"
                found.append(f"kid {jwk.kid!a}: serves {served}")
        found += [f"kid {gone.kid!a}: {gone.code} at {gone.error.place}" for gone in self.left_out]
        return tuple(found) or ("no key",)

    def check_usable(self, place: str) -> IssuerKeys:
        """Return the keys themselves where one of them can be used.

        Raises:
            ConfigurationError: ``configuration_invalid``: none; each is named with its reason.
        """
        if not self.prepared:
            wanted = f"a key for {', '.join(self.algorithms)}"
            raise error_for("configuration_invalid", place, wanted, self.reasons())
        return self

    def pack(self, issuer: int) -> bytes:
        """Return the slots as the core reads them, without tables; packed once."""
        if self._packed is None or self._packed[0] != issuer:
            layout = struct.Struct(_native.SLOT_FORMAT)
            plain = b"".join(
                layout.pack(0 if key.native is None else key.native.address, 0, key.number, issuer)
                for key in self.prepared
            )
            self._packed = (issuer, plain)
        return self._packed[1]

    def try_each_algorithm(self) -> IssuerKeys:
        """Verify once with one key of each algorithm, so that nothing is lazy in traffic; return self.

        Raises:
            InternalError: ``internal_error``: an algorithm accepted a signature of zeros.
        """
        first = {key.alg: key for key in reversed(self.prepared)}
        for alg, key in first.items():
            length = ALGORITHM_TABLE[alg].signature_bytes or len(key.jwk.material[0])
            if key.verify(b"warm-up", bytes(length)):
                raise error_for("internal_error", "keytable.try_each_algorithm", actual=alg)
        return self
