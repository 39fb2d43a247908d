"""What a fetch reaches and carries: configured addresses only, through a named proxy, with files' headers."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certified import CertifiedKey, x5c_of
from web import Web

from rapidjws import NOT_CHECKED, ConfigurationError, Engine, Issuer, RapidJWSError
from rapidjws.config.named_files import check_certificates, named_file_faults
from rapidjws.keys import DiscoveredJWKS, RemoteJWKS, RemotePEM, Transport, UnknownKids
from rapidjws.keys.fetch import HttpsFetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.testing import FaultyIssuerServer

EVIL = "https://evil.example/keys"
QUICK = UnknownKids(cooldown_s=0.001, budget=1000)


def test_no_token_causes_a_fetch_of_another_address() -> None:
    """Hostile kid, iss, jku, x5u, jwk and x5c lead to no address beyond the configured ones."""
    web = Web({"https://a.example/keys": {"keys": []}})
    template = "https://keys.example/k/{kid}"
    sources: list[Any] = [
        RemoteJWKS("https://a.example/keys", fetch=web, unknown_kids=QUICK),
        DiscoveredJWKS("https://a.example", fetch=web, unknown_kids=QUICK),
        RemotePEM(template, fetch=web, unknown_kids=QUICK),
    ]
    key = CertifiedKey()
    hostile: list[dict[str, Any]] = [
        {"jku": EVIL}, {"x5u": EVIL}, {"jku": EVIL, "kid": EVIL}, {"x5c": x5c_of(key)}, {"x5t": EVIL},
        {"jwk": {"kty": "EC", "kid": EVIL}, "kid": "a"}, {"kid": "@evil.example"}, {"kid": "/../evil"},
        {"kid": "..%2f..%2fevil"}, {"kid": "a?b"}, {"kid": "signatures fail: /x"},
        {"kid": "a\r\nHost: evil"},
    ]  # fmt: skip
    for source in sources:
        for iss in ("https://a.example", EVIL):
            engine = Engine(Issuer(None, keys=source, algorithms=["ES256"], audience=NOT_CHECKED))
            for header in hostile:
                with pytest.raises(RapidJWSError):
                    engine.verify(key.token({"iss": iss, "exp": 4_000_000_000}, **header))
        source.refresh(5)
    allowed = ("https://a.example/keys", "https://a.example/.well-known/", "https://keys.example/k/")
    assert all(url.startswith(allowed) for url in web.asked)
    by_kid = [url.removeprefix(allowed[2]) for url in web.asked if url.startswith(allowed[2])]
    assert not any("evil" in kid or "/" in kid for kid in by_kid)


class ConnectProxy:
    """A proxy that connects, and keeps what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._start(self._serve)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(client)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.asked.append(head.decode())
            client.sendall(self._answer)
            if not self._answer.startswith(b"HTTP/1.1 200"):
                continue
            host, _, port = head.split()[1].decode().partition(":")
            server = socket.create_connection((host, int(port)))
            self._open.append(server)
            self._start(self._copy, client, server)
            self._start(self._copy, server, client)

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        try:
            while octets := one.recv(65_536):
                other.sendall(octets)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """Stop, and leave nothing open."""
        for one in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        for one in (self._socket, *self._open):
            one.close()


def test_a_fetch_goes_through_the_proxy_and_carries_headers_of_files(tmp_path: Path) -> None:
    """The proxy is asked to connect and sees no credential; files are read again at each fetch."""
    token, key = tmp_path / "token", tmp_path / "key"
    token.write_text("first\n")
    key.write_text("k-1")
    proxy = ConnectProxy()
    with FaultyIssuerServer() as issuer:
        transport = Transport(
            ca=issuer.ca_pem, proxy=proxy.url, authorization_file=str(token), header_files={"X-Key": str(key)}
        )
        fetch = HttpsFetch(transport)
        assert fetch(issuer.url, None).status == 200
        token.write_text("second")
        assert fetch(issuer.url, None).status == 200
        assert [one.headers["authorization"] for one in issuer.requests] == ["Bearer first", "Bearer second"]
        assert issuer.requests[0].headers["x-key"] == "k-1"
        assert all(head.startswith("CONNECT localhost:") and "first" not in head for head in proxy.asked)
        key.write_text("a\r\nb: c")
        with pytest.raises(FetchFailed) as failed:
            fetch(issuer.url, None)
        assert failed.value.reason == "credential"
    proxy.close()


def test_a_proxy_that_refuses_is_named() -> None:
    """A proxy that does not connect is the reason of the failure."""
    proxy = ConnectProxy(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(FetchFailed) as failed:
        HttpsFetch(Transport(proxy=proxy.url))("https://a.example/keys", None)
    proxy.close()
    assert failed.value.reason == "proxy"


@pytest.mark.parametrize("text", ["", "a\nb", "\x00", "ä", "x" * 9000])
def test_files_that_hold_no_header_are_refused(tmp_path: Path, text: str) -> None:
    """A file that is no header value is an error at construction."""
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        HttpsFetch(Transport(authorization_file=str(path)))


@pytest.mark.parametrize(
    ("mode", "found"),
    [(None, "No such file or directory"), (0o666, "others may write to it"), (0o600, "something else")],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, mode: int | None, found: str) -> None:
    """A file that is not there, that others may write to, or that holds two lines, is told apart; no word of
    it is shown."""
    path = tmp_path / "token"
    if mode is not None:
        path.write_text("secret\nX-Other: 1")
        path.chmod(mode)
    for settings in (
        {"authorization_file": str(path)},
        {"header_files": {"X-Key": str(path)}},
        {"proxy": "http://proxy.example:3128", "proxy_authorization_file": str(path)},
    ):
        with pytest.raises(ConfigurationError, match=found) as refused:
            HttpsFetch(Transport(**settings))
        assert "secret" not in str(refused.value)


def test_certificates_that_are_not_there_are_told_from_those_that_are_none(tmp_path: Path) -> None:
    """A missing file of authorities is named as such."""
    path = tmp_path / "ca.pem"
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        HttpsFetch(Transport(ca=str(path)))
    path.write_text("hello")
    with pytest.raises(ConfigurationError, match="found 'none'"):
        HttpsFetch(Transport(ca=str(path)))


@pytest.mark.parametrize("kind", ["leaf", "both", "text"])
def test_trust_is_put_in_authorities_only(tmp_path: Path, kind: str) -> None:
    """A certificate that may not certify others is refused as an authority where the source is made."""
    leaf, root = CertifiedKey().pem, CertifiedKey("root", is_ca=True).pem
    path = tmp_path / "ca.pem"
    path.write_text(root + leaf if kind == "both" else leaf)
    given = leaf if kind == "text" else str(path)
    with pytest.raises(ConfigurationError, match="a certificate that is no authority"):
        RemoteJWKS("https://a.example/keys", transport=Transport(ca=given))
    path.write_text(root)
    RemoteJWKS("https://a.example/keys", transport=Transport(ca=str(path)))
    with pytest.raises(ConfigurationError, match="no authority"):
        check_certificates(leaf)


def test_a_configuration_names_what_its_file_of_authorities_holds(tmp_path: Path) -> None:
    """``config check`` tells a file without certificates from one that is no authority."""
    (tmp_path / "ca.pem").write_text(CertifiedKey().pem)
    tables = {"issuers": [{"ca": "ca.pem"}]}
    (fault,) = named_file_faults(tables, tmp_path)
    assert fault[1:] == ("certificates of authorities (CA true) in PEM", "a certificate that is no authority")
    (tmp_path / "ca.pem").write_text("# F\u0151tan\u00fas\n" + CertifiedKey("root", is_ca=True).pem, "utf-8")
    assert not list(named_file_faults(tables, tmp_path))
    (tmp_path / "ca.pem").write_text("none")
    assert [one[2] for one in named_file_faults(tables, tmp_path)] == ["no certificates"]


def test_a_file_of_authorities_is_opened_as_any_trusted_file(tmp_path: Path) -> None:
    """A FIFO hangs no start, and a file that strangers may write to is not trusted."""
    pipe, path = tmp_path / "pipe", tmp_path / "ca.pem"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        HttpsFetch(Transport(ca=str(pipe)))
    path.write_text(CertifiedKey("root", is_ca=True).pem)
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match="others may write"):
        HttpsFetch(Transport(ca=str(path)))


def test_host_is_what_stands_before_path_and_query() -> None:
    """The request's Host is the URL's authority, also where a query follows it at once (RFC 9110 s.7.2)."""
    for url in ("https://a.example:444?b@evil.example/c", "https://a.example:444/c", "https://a.example:444"):
        assert ("Host", "a.example:444") in HttpsFetch(Transport())._request_headers(url, None)
