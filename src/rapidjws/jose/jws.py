"""The JWS Protected Header, read strictly (RFC 7515 s.4, RFC 7797).

The order of checks, top to bottom: JSON, alg, kid, typ and cty, crit, b64. What it never does: follow or
trust jku, x5u, jwk, x5c or x5t; they are not even looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.jose import json_text
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import HEADER_MAX_BYTES, HEADER_MAX_MEMBERS, JSON_MAX_DEPTH, KID_MAX_CHARS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REGISTERED_NAMES: Final = frozenset(
    "alg jku jwk kid x5u x5c x5t x5t#S256 typ cty crit"  # RFC 7515 s.4.1
    " enc zip epk apu apv iv tag p2s p2c".split()  # RFC 7516 s.4.1, RFC 7518 s.4
)
"""Names that crit must not hold: those of the JOSE documents themselves (RFC 7515 s.4.1.11)."""


_PROTECTED_ONLY: Final = frozenset({"alg", "crit", "b64"})
"""RFC 7515 s.4.1.11, RFC 7797 s.3: integrity protected; alg: this project's rule, see
``allow_unprotected_alg``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A checked protected header.

    Attributes:
        alg: A name of ``ALGORITHMS``; whether the caller allows it is not decided here.
        kid: The key's name, or None.
        typ: The token's media type as written, or None.
        cty: The payload's media type as written, or None.
        crit: The critical names, every one understood; empty without crit.
        b64: False for an unencoded payload (RFC 7797).
        raw: All members as parsed; those not named above are a stranger's words.
    """

    alg: str
    kid: str | None = None
    typ: str | None = None
    cty: str | None = None
    crit: tuple[str, ...] = ()
    b64: bool = True
    raw: dict[str, Any] = field(repr=False, compare=False)


@checked
def parse_header(
    data: bytes,
    *,
    understood_crit: frozenset[str] = frozenset(),
    max_bytes: int = HEADER_MAX_BYTES,
    max_members: int = HEADER_MAX_MEMBERS,
    max_depth: int = JSON_MAX_DEPTH,
) -> Header:
    """Read a protected header.

    Args:
        data: The decoded header: JSON in UTF-8.
        understood_crit: The extensions that the caller implements; ``"b64"`` for unencoded payloads.
        max_bytes: Largest header.
        max_members: Most members of any one object.
        max_depth: Most containers open at once.

    Returns:
        The header.

    Raises:
        MalformedToken: too_large, too_deep, too_many_members, malformed_json, duplicate_member, or
            malformed_header (no object, or a member of the wrong type).
        HeaderRefused: unsupported_algorithm, crit_malformed, crit_unsupported or b64_unsupported.

    Source: RFC 7515 s.4, s.5.2 steps 1 to 5; RFC 7797 s.3, s.6.
    """
    for name, limit in (("max_bytes", max_bytes), ("max_members", max_members), ("max_depth", max_depth)):
        check_range(name, limit, 0, 2**31 - 1)
    raw = parse_members(data, max_bytes=max_bytes, max_members=max_members, max_depth=max_depth)
    return join_headers(raw, None, understood_crit=understood_crit)


def parse_members(
    data: bytes,
    *,
    max_bytes: int = HEADER_MAX_BYTES,
    max_members: int = HEADER_MAX_MEMBERS,
    max_depth: int = JSON_MAX_DEPTH,
) -> dict[str, Any]:
    """Read a protected header's members, whatever they mean; arguments and errors as :func:`parse_header`.

    Raises:
        MalformedToken: too_large, too_deep, too_many_members, malformed_json, duplicate_member, or
            malformed_header (no object).
    """
    raw = json_text.loads(
        data, max_bytes=max_bytes, max_depth=max_depth, max_members=max_members, place="header"
    )
    if not isinstance(raw, dict):  # RFC 7515 s.4: a JSON object
        raise error_for("malformed_header", "header", "a JSON object", type(raw).__name__)
    return raw


def join_headers(
    protected: dict[str, Any],
    unprotected: Mapping[str, Any] | None,
    *,
    understood_crit: frozenset[str] = frozenset(),
    allow_unprotected_alg: bool = False,
) -> Header:
    """Check the JOSE Header that a protected and an unprotected header make together.

    Of the unprotected one, only ``kid`` is used, and ``alg`` where that is allowed: both only choose a key
    of the caller's. typ and cty count only where they are protected.

    Args:
        protected: The members of the protected header; empty where there is none.
        unprotected: The members of the unprotected header, or None.
        understood_crit: The extensions that the caller implements.
        allow_unprotected_alg: Whether ``alg`` may stand in the unprotected header.

    Returns:
        The header; ``raw`` holds the protected members only.

    Raises:
        MalformedToken: duplicate_member (a name in both), or malformed_header.
        HeaderRefused: unprotected_parameter, unsupported_algorithm, crit_malformed, crit_unsupported or
            b64_unsupported.

    Source: RFC 7515 s.4, s.5.2 steps 1 to 5; RFC 7797 s.3, s.6.
    """
    joined = protected
    if unprotected is not None:
        for name in unprotected:
            if name in protected:  # RFC 7515 s.5.2 step 4, s.7.2.1: the names are disjoint
                raise error_for("duplicate_member", f"header.{name}", "a name in one of the two headers")
            if name in _PROTECTED_ONLY and (name != "alg" or not allow_unprotected_alg):
                raise error_for("unprotected_parameter", f"header.{name}", "in the protected header")
        joined = {**protected, **unprotected}
    return Header(
        alg=_alg(joined),
        kid=_kid(joined),
        typ=_text(protected, "typ"),
        cty=_text(protected, "cty"),
        crit=_crit(protected, understood_crit),
        b64=_b64(protected),
        raw=protected,
    )


@checked
def check_typ(header: Header, expected: str | Collection[str], *, required: bool = True) -> None:
    """Refuse a token of another type.

    Media types compare without case, and ``application/`` may be left out where no other slash stands.

    Args:
        header: The token's header.
        expected: The type due here, such as ``"at+jwt"``, or several of them.
        required: Whether a header without typ is refused.

    Raises:
        HeaderRefused: typ_mismatch; also where the header has no typ and one is required.

    Source: RFC 7515 s.4.1.9; RFC 8725 s.3.11.
    """
    types = (expected,) if isinstance(expected, str) else expected
    if header.typ is None and not required:
        return
    if header.typ is None or _media_type(header.typ) not in map(_media_type, types):
        expected = types[0] if isinstance(types, tuple) and len(types) == 1 else tuple(types)
        raise error_for("typ_mismatch", "header.typ", expected, header.typ)


def _media_type(text: str) -> str:
    """Return a typ in its one full spelling."""
    lower = text.lower()
    return lower if "/" in lower else f"application/{lower}"


def _alg(raw: dict[str, Any]) -> str:
    """Return the algorithm; the table has no ``none`` in any spelling."""
    alg = raw.get("alg")
    if not isinstance(alg, str):  # RFC 7515 s.4.1.1: there, and a string
        raise error_for("malformed_header", "header.alg", "a string", type(alg).__name__)
    if alg not in ALGORITHM_TABLE:  # RFC 7515 s.5.2, RFC 8725 s.3.2
        raise error_for("unsupported_algorithm", "header.alg", None, alg)
    return alg


def _text(raw: dict[str, Any], name: str) -> str | None:
    """Return an optional string member."""
    if name not in raw:
        return None
    value = raw[name]
    if not isinstance(value, str):  # RFC 7515 s.4.1.4, s.4.1.9, s.4.1.10: strings
        raise error_for("malformed_header", f"header.{name}", "a string", type(value).__name__)
    return value


def _kid(raw: dict[str, Any]) -> str | None:
    """Return the key's name, bounded as in a JWK."""
    kid = _text(raw, "kid")
    if kid is not None and len(kid) > KID_MAX_CHARS:
        raise error_for("malformed_header", "header.kid", f"at most {KID_MAX_CHARS} characters", len(kid))
    return kid


def _crit(raw: dict[str, Any], understood: frozenset[str]) -> tuple[str, ...]:
    """Return the critical names after all rules of RFC 7515 s.4.1.11."""
    if "crit" not in raw:
        return ()
    names = raw["crit"]
    if not isinstance(names, list) or not names:  # not the empty list
        raise error_for("crit_malformed", "header.crit", "a non-empty array of strings")
    seen: set[str] = set()
    for index, name in enumerate(names):
        place = f"header.crit[{index}]"
        if not isinstance(name, str):
            raise error_for("crit_malformed", place, "a string", type(name).__name__)
        if name in seen:  # no name twice
            raise error_for("crit_malformed", place, "distinct names", name)
        if name in REGISTERED_NAMES:  # no name of the JOSE documents
            raise error_for("crit_malformed", place, "an extension", name)
        if name not in raw:  # each is a member of this header
            raise error_for("crit_malformed", place, "a member of the header", name)
        if name not in understood:  # what is critical and not understood refuses the token
            raise error_for("crit_unsupported", place, tuple(sorted(understood)), name)
        seen.add(name)
    return tuple(names)


def _b64(raw: dict[str, Any]) -> bool:
    """Return whether the payload is encoded; runs after crit, whose names are all strings by then."""
    if "b64" not in raw:
        return True
    value = raw["b64"]
    if not isinstance(value, bool):  # RFC 7797 s.3
        raise error_for("malformed_header", "header.b64", "true or false", type(value).__name__)
    if not value and "b64" not in raw.get("crit", ()):  # RFC 7797 s.6: or others read other bytes
        raise error_for("b64_unsupported", "header.b64", "b64 listed in crit")
    return value
