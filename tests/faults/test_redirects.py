"""Redirects attacked by real answers: no source of keys, and no command, follows one anywhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rapidjws.contract.fetch import fetch
from rapidjws.keys import (
    CachedJWKSVerifier,
    DiscoveredJWKS,
    RemoteCertificates,
    RemoteJWKS,
    RemotePEM,
    SpiffeBundle,
    Transport,
)
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.testing import Fault, FaultyIssuerServer

STATUSES = (300, 301, 302, 303, 307, 308, 201)
"""Those with which a client may go elsewhere, and one whose Location names what was made."""


class Elsewhere:
    """A listener that nobody should reach, and how many did."""

    def __init__(self) -> None:
        self.reached = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self.reached += 1
            link.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture(name="elsewhere", scope="module")
def _elsewhere() -> Iterator[Elsewhere]:
    one = Elsewhere()
    yield one
    one.close()


@pytest.fixture(name="issuer", scope="module")
def _issuer() -> Iterator[FaultyIssuerServer]:
    with FaultyIssuerServer("https://a.example", "ES256") as one:
        yield one


def targets(issuer: FaultyIssuerServer, elsewhere: Elsewhere) -> list[str]:
    """Return where hostile answers point: itself, other ports and schemes, this machine, its files."""
    port = elsewhere.port
    return [
        issuer.url,
        "/jwks.json",
        f"https://localhost:{port}/jwks.json",
        f"http://127.0.0.1:{port}/",
        f"//127.0.0.1:{port}/",
        f"https://2130706433:{port}/",
        f"https://[::ffff:127.0.0.1]:{port}/",
        f"https://user:pass@127.0.0.1:{port}/",
        f"\\\\127.0.0.1:{port}\\",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:1/",
        "data:application/json,{}",
        "javascript:1",
        "",
    ]


def sources(issuer: FaultyIssuerServer, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return what fetches once, by each kind of source and by the commands."""
    trust = Transport(ca=issuer.ca_pem, timeout_s=10)
    root = issuer.url.rpartition("/")[0]
    verifier = CachedJWKSVerifier(
        issuer.url, cache_file=folder / "kept.json", algorithms=["ES256"], transport=trust
    )
    return {
        "jwks": RemoteJWKS(issuer.url, transport=trust).probe_keys,
        "discovery": DiscoveredJWKS(root, transport=trust).probe_keys,
        "certificates": RemoteCertificates(issuer.url, transport=trust).probe_keys,
        "pem": RemotePEM(f"{root}/{{kid}}", kids=["a"], transport=trust).probe_keys,
        "spiffe": SpiffeBundle(issuer.url, transport=trust).probe_keys,
        "cached": verifier.refresh,
        "command": lambda: fetch(issuer.url, ca_file=issuer.ca_pem, timeout_s=10),
    }


@pytest.mark.parametrize("kind", ["jwks", "discovery", "certificates", "pem", "spiffe", "cached", "command"])
def test_no_redirect_is_followed(
    kind: str, issuer: FaultyIssuerServer, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """One request leads to one answer, which is a failure; nobody else is asked, and no loop is begun."""
    ask = sources(issuer, tmp_path)[kind]
    places = targets(issuer, elsewhere)
    most = 2 if kind == "discovery" else 1  # two addresses of the metadata, both configured by the issuer
    for number, place in enumerate(places):
        issuer.always(Fault(status=STATUSES[number % len(STATUSES)], headers={"Location": place}))
        before = len(issuer.requests)
        try:
            found = ask()
        except FetchFailed:
            found = None
        if kind == "cached":
            assert found is False, place
        elif kind == "command":
            assert found is not None
            assert found.fault is not None, place
        else:
            assert found is None, place
        assert 1 <= len(issuer.requests) - before <= most, place
    issuer.always(None)
    assert elsewhere.reached == 0
