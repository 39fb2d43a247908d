"""RSA public numbers: are they fit to verify with (RFC 7518 s.3.3, s.6.3.1; CVE-2017-15361)?

What it never does: factor, or test primes; only what can be seen from the public numbers in microseconds.
"""

from __future__ import annotations

import functools
import math
from typing import Final, NamedTuple

from rapidjws.jose.limits import RSA_EXPONENT_MAX_BITS, RSA_MAX_BITS, RSA_MIN_BITS

_GENERATOR: Final = 65537
_PRIMES: Final = tuple(
    n for n in range(3, 168) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1))
)  # with 2 the 39 primes that every modulus of the weak generator was built on
_PRODUCT: Final = math.prod(_PRIMES)


class Fault(NamedTuple):
    """What is wrong with an RSA key: error code, member, and words."""

    code: str
    member: str
    expected: str
    actual: str


def fault(n: int, e: int) -> Fault | None:
    """Say what is wrong with an RSA public key.

    Args:
        n: The modulus.
        e: The public exponent.

    Returns:
        The fault, or None for a key that may be used.
    """
    bits = n.bit_length()
    if bits < RSA_MIN_BITS:  # RFC 7518 s.3.3: 2048 bits or larger
        return Fault("key_weak", "n", f"at least {RSA_MIN_BITS} bit", f"{bits} bit")
    if bits > RSA_MAX_BITS:
        return Fault("key_unsupported", "n", f"at most {RSA_MAX_BITS} bit", f"{bits} bit")
    if not n & 1:  # a product of two odd primes is odd
        return Fault("key_malformed", "n", "an odd modulus", "an even one")
    if e < 3 or not e & 1:  # RFC 8017 s.3.1: odd and at least 3; with 1 everything verifies
        return Fault("key_weak", "e", "an odd exponent of at least 3", "one" if e == 1 else "another")
    if e.bit_length() > RSA_EXPONENT_MAX_BITS:
        return Fault("key_unsupported", "e", f"at most {RSA_EXPONENT_MAX_BITS} bit", f"{e.bit_length()} bit")
    rest = n % _PRODUCT
    if math.gcd(rest, _PRODUCT) != 1:  # RFC 8017 s.3.1: two large primes; a small factor is damage or fraud
        return Fault("key_weak", "n", "a product of large primes", "a small prime factor")
    if _is_roca(rest):
        return Fault("key_weak", "n", "a randomly made modulus", "the fingerprint of CVE-2017-15361")
    return None


def _is_roca(n_rest: int) -> bool:
    """Say whether a modulus is a power of 65537 modulo the product of the small primes.

    The weak generator makes primes p = k M + (65537^a mod M), so n is such a power mod M. The discrete
    logarithm modulo M exists when the logarithms modulo each prime exist and agree, which a random modulus
    does by chance only as often as those powers are rare among the residues.
    """
    exponent, modulus = 0, 1
    for prime, logarithms in _logarithm_tables():
        found = logarithms.get(n_rest % prime)
        if found is None:
            return False
        order = len(logarithms)
        shared = math.gcd(modulus, order)
        if (found - exponent) % shared:
            return False
        step = order // shared
        exponent += modulus * ((found - exponent) // shared * pow(modulus // shared, -1, step) % step)
        modulus *= step
    return True


@functools.cache
def _logarithm_tables() -> tuple[tuple[int, dict[int, int]], ...]:
    """Return for each small prime the logarithm, to the base 65537, of each power of 65537."""
    tables = []
    for prime in _PRIMES:
        logarithms: dict[int, int] = {}
        power = 1
        while power not in logarithms:
            logarithms[power] = len(logarithms)
            power = power * _GENERATOR % prime
        tables.append((prime, logarithms))
    return tuple(tables)
