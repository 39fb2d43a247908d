"""The outer shape of keys in DER, enough to tell what a text holds (X.690 s.8, RFC 5280, RFC 5958, RFC 8017).

Only tags and lengths are read, and of one algorithm its parameters; keys themselves are read by
pyca/cryptography.
"""

from __future__ import annotations

from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT: Final = 0x06
SEQUENCE: Final = 0x30

_MAX_ITEMS: Final = 16
RSASSA_PSS: Final = bytes.fromhex("2a864886f70d01010a")  # 1.2.840.113549.1.1.10, RFC 4055 s.3
_MGF1: Final = bytes.fromhex("2a864886f70d010108")  # 1.2.840.113549.1.1.8
_HASHES: Final = {  # RFC 4055 s.2.1: 2.16.840.1.101.3.4.2.*
    bytes.fromhex("608648016503040201"): ("PS256", 32),
    bytes.fromhex("608648016503040202"): ("PS384", 48),
    bytes.fromhex("608648016503040203"): ("PS512", 64),
}
_SHAPES: Final[tuple[tuple[tuple[int, ...], str], ...]] = (
    ((SEQUENCE, BIT_STRING), "PUBLIC KEY"),
    ((INTEGER, INTEGER), "RSA PUBLIC KEY"),
    ((SEQUENCE, SEQUENCE, BIT_STRING), "CERTIFICATE"),
    ((SEQUENCE, OCTET_STRING), "ENCRYPTED PRIVATE KEY"),
)
_PREFIXES: Final[tuple[tuple[tuple[int, ...], str], ...]] = (
    ((INTEGER, SEQUENCE, OCTET_STRING), "PRIVATE KEY"),
    ((INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER), "RSA PRIVATE KEY"),
    ((INTEGER, OCTET_STRING), "EC PRIVATE KEY"),
)

Item = tuple[int, bytes]


def items(data: bytes) -> list[Item] | None:
    """Return the tag and content of each value in a row, or None where it is not DER."""
    found: list[Item] = []
    at = 0
    while at < len(data):
        if len(found) == _MAX_ITEMS or at + 2 > len(data):
            return None
        tag, size = data[at], data[at + 1]
        at += 2
        if size >= 0x80:
            more = size & 0x7F
            if not 1 <= more <= 4 or at + more > len(data):  # X.690 s.10.1: the definite form
                return None
            size = int.from_bytes(data[at : at + more], "big")
            at += more
        if at + size > len(data):
            return None
        found.append((tag, data[at : at + size]))
        at += size
    return found


def children(data: bytes) -> list[Item] | None:
    """Return the members of a SEQUENCE that is all there is, or None."""
    outer = items(data)
    if outer is None or len(outer) != 1 or outer[0][0] != SEQUENCE:
        return None
    return items(outer[0][1])


def label_of(data: bytes) -> str | None:
    """Return the PEM label (RFC 7468) that fits octets in DER, or None where they have no such shape."""
    members = children(data)
    if members is None:
        return None
    tags = tuple(tag for tag, _ in members)
    for shape, label in _SHAPES:
        if tags == shape:
            return label
    return next((label for shape, label in _PREFIXES if tags[: len(shape)] == shape), None)


def _algorithm(data: bytes) -> list[Item] | None:
    """Return the members of the AlgorithmIdentifier of a public key, a certificate's key or a PKCS#8 key."""
    members = children(data)
    label = label_of(data)
    if members is None:
        return None
    if label == "PUBLIC KEY":
        return items(members[0][1])
    if label == "PRIVATE KEY":
        return items(members[1][1])
    return None


def pss_algorithms(data: bytes) -> tuple[str, ...] | None:
    """Return the algorithms that a key in DER is restricted to by id-RSASSA-PSS (RFC 4055 s.1.2, s.3.1).

    Args:
        data: SubjectPublicKeyInfo or PKCS#8.

    Returns:
        None where it is no RSASSA-PSS key; all PS algorithms where it has no parameters; the one of its hash
        where they name one of SHA-2 for both uses and a salt that is not longer than the digest; else none.
    """
    algorithm = _algorithm(data)
    if not algorithm or algorithm[0] != (OBJECT, RSASSA_PSS):
        return None
    if len(algorithm) == 1:
        return tuple(name for name, _ in _HASHES.values())
    return _restricted(algorithm[1][1]) if len(algorithm) == 2 and algorithm[1][0] == SEQUENCE else ()


def _restricted(parameters: bytes) -> tuple[str, ...]:
    """Return the algorithm that RSASSA-PSS-params allow; SHA-1, the default of each, allows none of ours."""
    fields = dict(items(parameters) or ())
    digest = _HASHES.get(_object(fields.get(0xA0)))
    mask = _members(fields.get(0xA1))
    if digest is None or len(mask) != 2 or mask[0] != (OBJECT, _MGF1):
        return ()
    within = items(mask[1][1]) or [(0, b"")]
    salt = items(fields.get(0xA2, b"\x02\x01\x14")) or [(0, b"")]  # RFC 4055 s.3.1: 20 octets by default
    trailer = fields.get(0xA3, b"\x02\x01\x01")
    if _HASHES.get(within[0][1]) != digest or salt[0][0] != INTEGER or trailer != b"\x02\x01\x01":
        return ()
    name, size = digest
    # RFC 4055 s.3.3: a signature's salt is at least that of the key; ours is the digest's size
    return (name,) if int.from_bytes(salt[0][1], "big") <= size else ()


def _members(tagged: bytes | None) -> list[Item]:
    """Return the members of a SEQUENCE in an explicit tag."""
    return [] if tagged is None else children(tagged) or []


def _object(tagged: bytes | None) -> bytes:
    """Return the object identifier of an AlgorithmIdentifier in an explicit tag."""
    found = _members(tagged)
    return found[0][1] if found and found[0][0] == OBJECT else b""
