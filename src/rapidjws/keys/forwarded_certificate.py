"""The client certificate that a gateway hands on in a header, read in one way, and who is believed."""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX: Final = "unix"
"""Stands for every peer on a Unix socket."""

_PEM: Final = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII
)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_SEQUENCE: Final = 0x30


def networks_of(peers: Iterable[str], place: str) -> tuple[Network, ...]:
    """Return the networks of peers; ``unix`` is none.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    found = []
    for peer in peers:
        if peer != UNIX:
            try:
                found.append(ipaddress.ip_network(peer))
            except ValueError:
                expected = "addresses, networks, or unix"
                raise error_for("configuration_invalid", place, expected, peer) from None
    return tuple(found)


def is_among(peer: str | None, networks: Iterable[Network], *, unix: bool) -> bool:
    """Return whether a peer is one of those that are believed.

    Args:
        peer: Its address, ``"unix"``, or None where nobody knows.
        networks: Of the believed.
        unix: Whether those on a Unix socket are.
    """
    if peer is None or peer == UNIX:
        return peer is not None and unix
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.0.0.1 of a dual-stack socket
    return any((mapped or address) in network or address in network for network in networks)


def der_of(value: bytes, form: str) -> bytes | None:
    """Return a certificate's DER out of PEM or base64; None for anything but one certificate."""
    if form == "pem":
        found = _PEM.fullmatch(unquote_to_bytes(value) if b"%" in value else value)
        text = b"" if found is None else b"".join(found[1].split())
    else:
        text = value[1:-1] if value[:1] == b":" == value[-1:] and len(value) > 2 else value
    if _BASE64.fullmatch(text) is None:
        return None
    try:
        der = b64decode(text, validate=True)
    except binascii.Error:
        return None
    is_canonical = b64encode(der) == text  # one spelling
    return der if is_canonical and _is_one_sequence(der) else None


def _is_one_sequence(der: bytes) -> bool:
    """Return whether octets are one DER SEQUENCE from end to end: its digest then has one meaning."""
    if len(der) < 4 or der[0] != _SEQUENCE or not 0x81 <= der[1] <= 0x83:
        return False
    count = der[1] & 0x7F
    return len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def xfcc_pairs(text: str) -> list[tuple[str, str]] | None:
    """Return name and value of each pair of one element; None where it is malformed, or another follows."""
    elements = xfcc_elements(text)
    return elements[0] if elements is not None and len(elements) == 1 else None


def xfcc_elements(text: str) -> list[list[tuple[str, str]]] | None:
    """Return the pairs of each element of Envoy's header, in its order; None where it is malformed.

    Each Envoy with ``APPEND_FORWARD`` puts an element at the end. A value in which a comma, a semicolon or an
    equals sign stands is in double quotes; Envoy writes those of a certificate's names as they are, so a name
    may look like pairs or elements of its own: who counts them must know how many there are.

    Args:
        text: The value of the header.
    """
    elements: list[list[tuple[str, str]]] = [[]]
    at = 0
    while at < len(text):
        name, equals, _ = text[at:].partition("=")
        if not equals or not name.isalnum() or not name.isascii():
            return None
        at += len(name) + 1
        found = _quoted(text, at) if text[at : at + 1] == '"' else _bare(text, at)
        if found is None:
            return None
        content, at = found
        elements[-1].append((name.lower(), content))
        if at < len(text):
            if text[at] not in ";,":
                return None
            if text[at] == ",":
                elements.append([])
                if at + 1 == len(text):
                    return None
            at += 1
    return elements


def _quoted(text: str, at: int) -> tuple[str, int] | None:
    """Return a value in double quotes, and where it ends."""
    content: list[str] = []
    at += 1
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            content.append(text[at + 1])
            at += 2
        elif text[at] == '"':
            return "".join(content), at + 1
        else:
            content.append(text[at])
            at += 1
    return None


def _bare(text: str, at: int) -> tuple[str, int] | None:
    """Return a value without quotes, and where it ends."""
    end = at
    while end < len(text) and text[end] not in ";,":
        end += 1
    content = text[at:end]
    return None if '"' in content else (content, end)
