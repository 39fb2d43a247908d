"""The order of the certificates in a time stamp, which nobody signs (RFC 5652 s.5.1).

DER wants them in ascending order, authorities send them as they have them, and the parser of the extra
``timestamp`` takes the former only.
"""

from __future__ import annotations

from typing import Final

_SEQUENCE: Final = 0x30
_TAGGED: Final = 0xA0


def _element(octets: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of an element begins, and where it ends; raises ValueError."""
    if at + 2 > end:
        raise ValueError("DER ends early")
    length, start = octets[at + 1], at + 2
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(octets[at + 2 : start], "big")
    elif length == 0x80:
        raise ValueError("no definite length")
    if start + length > end:
        raise ValueError("DER ends early")
    return start, start + length


def _inside(octets: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    if at >= end or octets[at] != tag:
        raise ValueError("another tag")
    return _element(octets, at, end)


def sorted_certificates(response: bytes) -> bytes:
    """Return a TimeStampResp with its certificates in ascending order; what is none comes back as it is."""
    try:
        at, end = _inside(response, 0, len(response), _SEQUENCE)
        at = _element(response, at, end)[1]  # PKIStatusInfo
        at, end = _inside(response, at, end, _SEQUENCE)  # ContentInfo
        at = _element(response, at, end)[1]  # contentType
        at, end = _inside(response, at, end, _TAGGED)
        at, end = _inside(response, at, end, _SEQUENCE)  # SignedData
        for _ in range(3):  # version, digestAlgorithms, encapContentInfo
            at = _element(response, at, end)[1]
        first, end = _inside(response, at, end, _TAGGED)
        at, found = first, []
        while at < end:
            stop = _element(response, at, end)[1]
            found.append(response[at:stop])
            at = stop
    except ValueError:
        return response
    return response[:first] + b"".join(sorted(found)) + response[end:]
