"""Special-purpose addresses: one test a block of the IANA registries, and what a failed fetch says."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from rapidjws.keys.addresses import EMBEDDINGS, SPECIAL_IPV4, SPECIAL_IPV6, is_public
from rapidjws.keys.fetch import FetchFailed, location_host

PUBLIC_IPV4 = (
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "100.63.255.255",
    "100.128.0.0",
    "11.0.0.0",
    "126.255.255.255",
)
NEIGHBOURS = {ipaddress.ip_address(address) for address in PUBLIC_IPV4}


@pytest.mark.parametrize("block", [*SPECIAL_IPV4, *SPECIAL_IPV6], ids=str)
def test_S10_no_address_of_a_special_block_is_public(block: Any) -> None:
    """The first, the last and a middle address of each block are refused."""
    middle = block.network_address + block.num_addresses // 2
    for address in (block.network_address, middle, block.broadcast_address):
        assert not is_public(str(address))


@pytest.mark.parametrize("block", SPECIAL_IPV4, ids=str)
@pytest.mark.parametrize("around", EMBEDDINGS, ids=str)
def test_S10_an_embedded_address_is_checked_as_such(around: Any, block: Any) -> None:
    """IPv4-compatible, mapped, translated and NAT64 addresses are what they carry."""
    for inner in (block.network_address, block.broadcast_address):
        assert not is_public(str(around.network_address + int(inner)))


@pytest.mark.parametrize("around", EMBEDDINGS, ids=str)
def test_S10_a_public_address_in_an_embedding_is_public(around: Any) -> None:
    """NAT64 is how IPv6-only networks reach the public IPv4 internet."""
    for inner in NEIGHBOURS:
        assert is_public(str(around.network_address + int(inner)))


def test_S10_public_addresses_stay_public() -> None:
    """Neighbours of the blocks, and addresses in use, pass."""
    for address in (*PUBLIC_IPV4, "2606:2800:220:1::1", "2a00:1450:4001:80b::200e", "2001:200::1", "2003::1"):
        assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "1.1.1.1%eth0", "2606:2800::1%eth0", "1.1.1", "4000::1", "::2:0:0:1", "01.1.1.1"],
)
def test_S10_what_is_no_plain_public_address_is_not(address: str) -> None:
    """A name, a zone, and space that nobody was given are refused."""
    assert not is_public(address)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://other.example/jwks", "other.example"), ("//other.example:8443/x", "other.example"),
        ("/elsewhere", None), (None, None), ("https://user:secret@other.example/", "other.example"),
        ("https://[::1]/", "::1"), ("https://[", None), ("https://a\x1b[31m.example/", None),
        ("https://" + "a" * 300, None),
    ],
)  # fmt: skip
def test_B10_26_a_failed_fetch_keeps_its_status_and_redirect(location: str | None, host: str | None) -> None:
    """The status, and the host that a redirect names, stand in what the source says."""
    assert location_host(location) == host
    shown = FetchFailed("status", 302, None, location_host(location)).detail
    assert shown == ("status 302" if host is None else f"status 302, to {host}")
    assert (FetchFailed("timeout").detail, FetchFailed("status", 404).detail) == ("timeout", "status 404")
