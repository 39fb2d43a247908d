"""`RemoteSigner` behind a real nginx that ends TLS: whom it trusts, and what it sends to whom it does not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from gates import free_port, program, running
from signing_world import CLIENT_KEYS, SIGN, SigningServer

from rapidjws import RapidJWSError, Verifier
from rapidjws.issuing.remote_signer import RemoteSigner
from rapidjws.signing import LocalSigner, sign_compact

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

NGINX: Final = """
daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 64; }}
http {{
  access_log asked.log;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
{servers}
}}
"""
SERVER: Final = """
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols {protocols};
    ssl_certificate {name}.pem; ssl_certificate_key {name}.pem;
    {more}
    location / {{ proxy_pass http://{service}; }}
  }}
"""
CLIENTS_WANTED: Final = "ssl_client_certificate ca.pem; ssl_verify_client on;"
TLS: Final = "TLSv1.2 TLSv1.3"
SERVERS: Final = {
    "good": (TLS, ""),
    "expired": (TLS, ""),
    "early": (TLS, ""),
    "elsewhere": (TLS, ""),
    "stranger": (TLS, ""),
    "tls12": ("TLSv1.2", ""),
    "certified": (TLS, CLIENTS_WANTED),
}


class Gate:
    """The nginx, what is behind it, and the authority that signed for it."""

    def __init__(self, folder: Path, service: SigningServer, ports: dict[str, int]) -> None:
        self.folder, self.service, self.ports = folder, service, ports

    def signer(self, name: str, **more: Any) -> RemoteSigner:
        """Return a signer by one of the servers, over TLS."""
        given: dict[str, Any] = {
            "client_id": "orders",
            "client_key": LocalSigner(CLIENT_KEYS["orders"]),
            "audience": SIGN,
            "timeout_s": 30.0,
            "ca": str(self.folder / "ca.pem"),
        }
        return RemoteSigner(f"https://localhost:{self.ports[name]}/sign", "ES256", **{**given, **more})

    def asked(self) -> int:
        """Return how many requests nginx has read."""
        return len((self.folder / "asked.log").read_text().splitlines())


def certificates(folder: Path) -> None:
    """Write a certificate for each server, and those of the authorities."""
    authority, other = trustme.CA(), trustme.CA()
    now = datetime.now(timezone.utc)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    made = {
        "good": authority.issue_cert("localhost"),
        "expired": authority.issue_cert(
            "localhost", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
        ),
        "early": authority.issue_cert(
            "localhost", not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)
        ),
        "elsewhere": authority.issue_cert("signing.example"),
        "stranger": other.issue_cert("localhost"),
        "tls12": authority.issue_cert("localhost"),
        "certified": authority.issue_cert("localhost"),
    }
    for name, one in made.items():
        path = folder / f"{name}.pem"
        path.touch(mode=0o600)
        one.private_key_and_cert_chain_pem.write_to_path(path)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Start a signing service and nginx before it."""
    found = program("nginx")
    if found is None:
        pytest.skip("nginx absent: `make gateways` installs it where it can be had")
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    service = SigningServer(tmp_path_factory.mktemp("service"))
    try:
        ports = {name: free_port() for name in SERVERS}
        servers = "".join(
            SERVER.format(port=ports[name], name=name, protocols=one[0], more=one[1], service=service.address)
            for name, one in SERVERS.items()
        )
        (folder / "nginx.conf").write_text(NGINX.format(servers=servers), "utf-8")
        with running([str(found), "-p", str(folder), "-c", "nginx.conf"], ports["good"]):
            yield Gate(folder, service, ports)
    finally:
        assert service.server.end() == 0


@pytest.mark.parametrize("name", ["good", "tls12"])
def test_a_signature_over_tls_verifies(gate: Gate, name: str) -> None:
    """By TLS 1.2 and 1.3, with an authority of its own as a file and as text."""
    for ca in (str(gate.folder / "ca.pem"), (gate.folder / "ca.pem").read_text()):
        token = sign_compact(b"{}", gate.signer(name, ca=ca), header={"typ": "order+jwt"})
        assert Verifier(list(gate.service.keys().keys), algorithms=["ES256"]).verify(token).payload == b"{}"


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("expired", {}),
        ("early", {}),
        ("elsewhere", {}),
        ("stranger", {}),
        ("good", {"ca": None}),
        ("good", {"ca": "other.pem"}),
        ("expired", {"insecure_allow_http": True}),
    ],
    ids=str,
)
def test_nothing_is_sent_to_whom_it_does_not_trust(gate: Gate, name: str, more: dict[str, Any]) -> None:
    """Expired, not yet good, another name, another authority: refused as TLS's, before a request is made."""
    if more.get("ca"):
        more = {"ca": str(gate.folder / more["ca"])}
    before = gate.asked(), len(gate.service.records())
    with pytest.raises(RapidJWSError) as caught:
        gate.signer(name, **more)
    assert (caught.value.code, caught.value.actual) == ("signer_unavailable", "tls")
    assert (gate.asked(), len(gate.service.records())) == before


def test_a_certificate_that_ends_later_stops_a_signer(gate: Gate) -> None:
    """Each signature is over a connection of its own, whose certificate counts: nothing is kept open."""
    signer = gate.signer("good")
    signer._url = f"https://localhost:{gate.ports['expired']}/sign"
    with pytest.raises(RapidJWSError) as caught:
        sign_compact(b"{}", signer, header={"typ": "order+jwt"})
    assert (caught.value.code, caught.value.actual) == ("signer_unavailable", "tls")


def test_a_gateway_that_wants_a_client_certificate_refuses(gate: Gate) -> None:
    """It shows none: it authenticates by its assertion, and the refusal says so at the start."""
    with pytest.raises(RapidJWSError) as caught:
        gate.signer("certified")
    assert caught.value.code == "signer_refused"


def test_plain_http_at_a_port_of_tls_and_the_other_way(gate: Gate) -> None:
    """Neither is taken for the other."""
    with pytest.raises(RapidJWSError) as caught:
        RemoteSigner(
            f"https://{gate.service.address}/sign",
            "ES256",
            client_id="orders",
            client_key=LocalSigner(CLIENT_KEYS["orders"]),
            ca=str(gate.folder / "ca.pem"),
            timeout_s=30.0,
        )
    assert (caught.value.code, caught.value.actual) == ("signer_unavailable", "tls")


def test_a_server_that_never_shakes_hands_is_left_in_time(gate: Gate) -> None:
    """The deadline holds for TLS as well."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun_s = time.monotonic()
        with pytest.raises(RapidJWSError) as caught:
            RemoteSigner(
                f"https://localhost:{silent.getsockname()[1]}/sign",
                "ES256",
                client_id="orders",
                client_key=LocalSigner(CLIENT_KEYS["orders"]),
                ca=str(gate.folder / "ca.pem"),
                timeout_s=0.5,
            )
        assert (caught.value.code, caught.value.actual) == ("signer_unavailable", "timeout")
        assert time.monotonic() - begun_s < 20
