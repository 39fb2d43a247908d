"""Points of the JOSE curves: is this public key a point that may be used at all?

Weierstrass curves of RFC 7518 s.6.2 and RFC 8812, Edwards curves of RFC 8037. Public values only, so nothing
here is constant time. What it never does: multiply a point; the native key build checks every key again.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Weierstrass(NamedTuple):
    """y^2 = x^3 + a x + b over the integers mod p; every curve here has prime order."""

    coordinate_bytes: int
    p: int
    a: int
    b: int


class Edwards(NamedTuple):
    """a x^2 + y^2 = 1 + d x^2 y^2 over the integers mod p.

    Attributes:
        key_bytes: The encoded point's size.
        sign_bit: The bit of the little-endian encoding that holds the sign of x.
        small_order_y: The y of every point whose order divides the cofactor.
    """

    key_bytes: int
    sign_bit: int
    p: int
    a: int
    d: int
    small_order_y: frozenset[int]


_P256: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P384: Final = 2**384 - 2**128 - 2**96 + 2**32 - 1
_P521: Final = 2**521 - 1
_P25519: Final = 2**255 - 19
_P448: Final = 2**448 - 2**224 - 1
_Y8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

WEIERSTRASS: Final[Mapping[str, Weierstrass]] = MappingProxyType(
    {
        "P-256": Weierstrass(  # SP 800-186 s.3.2.1.3
            32, _P256, -3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
        ),
        "P-384": Weierstrass(  # SP 800-186 s.3.2.1.4
            48,
            _P384,
            -3,
            0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        ),
        "P-521": Weierstrass(  # SP 800-186 s.3.2.1.5
            66,
            _P521,
            -3,
            0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
        ),
        "secp256k1": Weierstrass(32, 2**256 - 2**32 - 977, 0, 7),  # SEC 2 s.2.4.1
    }
)

EDWARDS: Final[Mapping[str, Edwards]] = MappingProxyType(
    {
        "Ed25519": Edwards(  # RFC 8032 s.5.1; cofactor 8
            32,
            255,
            _P25519,
            -1,
            -121665 * pow(121666, -1, _P25519) % _P25519,
            frozenset({0, 1, _P25519 - 1, _Y8, _P25519 - _Y8}),
        ),
        "Ed448": Edwards(  # RFC 8032 s.5.2; cofactor 4
            57, 455, _P448, 1, -39081, frozenset({0, 1, _P448 - 1})
        ),
    }
)


def weierstrass_fault(curve: Weierstrass, x_bytes: bytes, y_bytes: bytes) -> str | None:
    """Say what is wrong with an affine point.

    Args:
        curve: Its curve.
        x_bytes: Big-endian, ``coordinate_bytes`` long.
        y_bytes: Likewise.

    Returns:
        Words for the fault, or None for a point of the curve. Infinity has no affine form.
    """
    x, y, p = int.from_bytes(x_bytes, "big"), int.from_bytes(y_bytes, "big"), curve.p
    if x >= p or y >= p:  # SEC 1 s.2.3.5: a coordinate is a reduced field element
        return "a coordinate outside the field"
    if (y * y - (x * x + curve.a) * x - curve.b) % p:  # SEC 1 s.3.2.2.1: the equation holds
        return "a point off the curve"
    return None


def edwards_fault(curve: Edwards, encoded: bytes) -> tuple[str, str] | None:
    """Say what is wrong with an encoded Edwards point.

    Args:
        curve: Its curve.
        encoded: Little-endian, ``key_bytes`` long.

    Returns:
        Error code and words for the fault, or None for a point that may serve as a public key.
    """
    number, p = int.from_bytes(encoded, "little"), curve.p
    y, sign = number & ((1 << curve.sign_bit) - 1), number >> curve.sign_bit
    if y >= p:  # RFC 8032 s.5.1.3, s.5.2.3: y is reduced
        return "key_malformed", "a non-canonical y"
    if sign and y in (1, p - 1):  # RFC 8032 s.5.1.3 step 4: x = 0 has no sign
        return "key_malformed", "a sign on x = 0"
    if y in curve.small_order_y:  # RFC 8032 s.8.9 and contributory behaviour: such a key binds nobody
        return "key_weak", "a point of small order"
    y2 = y * y % p
    x2_top, x2_bottom = y2 - 1, curve.d * y2 - curve.a
    if pow(x2_top * x2_bottom, (p - 1) // 2, p) != 1:  # RFC 8032 s.5.1.3 step 3: x^2 has a root
        return "key_malformed", "a point off the curve"
    return None
