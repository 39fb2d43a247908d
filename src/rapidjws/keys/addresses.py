"""Which IP addresses are of the public internet, by the special-purpose registries of IANA.

An IPv6 address that carries an IPv4 address stands for that one as well: a translator or a tunnel may reach
it. Source: RFC 6890 and its registries, as of 2026-11; RFC 6052, RFC 8215, RFC 4291 s.2.5.5.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

SPECIAL_IPV4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network, RFC 791 s.3.2
            "10.0.0.0/8",  # private use, RFC 1918
            "100.64.0.0/10",  # shared address space, RFC 6598
            "127.0.0.0/8",  # loopback, RFC 1122 s.3.2.1.3
            "169.254.0.0/16",  # link-local, RFC 3927: cloud metadata services too
            "172.16.0.0/12",  # private use, RFC 1918
            "192.0.0.0/24",  # IETF protocol assignments, RFC 6890 s.2.1
            "192.0.2.0/24",  # documentation, RFC 5737
            "192.31.196.0/24",  # AS112, RFC 7535
            "192.52.193.0/24",  # AMT, RFC 7450
            "192.88.99.0/24",  # 6to4 relay anycast, RFC 7526
            "192.168.0.0/16",  # private use, RFC 1918
            "192.175.48.0/24",  # AS112, RFC 7534
            "198.18.0.0/15",  # benchmarking, RFC 2544
            "198.51.100.0/24",  # documentation, RFC 5737
            "203.0.113.0/24",  # documentation, RFC 5737
            "224.0.0.0/4",  # multicast, RFC 5771
            "240.0.0.0/4",  # reserved, RFC 1112 s.4, and limited broadcast
        ),
    )
)
SPECIAL_IPV6: Final = tuple(
    map(
        IPv6Network,
        (
            "::/128",  # unspecified, RFC 4291
            "::1/128",  # loopback, RFC 4291
            "64:ff9b:1::/48",  # IPv4-IPv6 translation of local use, RFC 8215
            "100::/64",  # discard only, RFC 6666
            "100:0:0:1::/64",  # dummy prefix, RFC 9780
            "2001::/23",  # IETF protocol assignments, RFC 2928: Teredo, ORCHID, benchmarking and others
            "2001:db8::/32",  # documentation, RFC 3849
            "2002::/16",  # 6to4, RFC 3056: deprecated by RFC 7526
            "2620:4f:8000::/48",  # AS112, RFC 7534
            "3fff::/20",  # documentation, RFC 9637
            "5f00::/16",  # segment routing, RFC 9602
            "fc00::/7",  # unique local, RFC 4193
            "fe80::/10",  # link-local, RFC 4291
            "fec0::/10",  # site-local, RFC 3879: deprecated, still routed by some
            "ff00::/8",  # multicast, RFC 4291
        ),
    )
)
EMBEDDINGS: Final = tuple(  # the IPv4 address stands in the last 32 bits
    IPv6Network(block)
    for block in (
        "::/96",  # IPv4-compatible, RFC 4291 s.2.5.5.1
        "::ffff:0:0/96",  # IPv4-mapped, RFC 4291 s.2.5.5.2
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
    )
)
GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA gave to the public internet so far."""


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, and the IPv4 address in it as well.

    Args:
        address: An IPv4 or IPv6 address as text; a zone is an interface of this machine, so never public.
    """
    if "%" in address:
        return False
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return _is_public_ipv4(found) if isinstance(found, IPv4Address) else _is_public_ipv6(found)


def _is_public_ipv4(address: IPv4Address) -> bool:
    return not any(address in block for block in SPECIAL_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    if any(address in block for block in EMBEDDINGS):
        return _is_public_ipv4(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in GLOBAL_UNICAST and not any(address in block for block in SPECIAL_IPV6)
