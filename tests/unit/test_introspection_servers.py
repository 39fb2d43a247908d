"""Several introspection servers, and a client that authenticates by its certificate (RFC 8705 section 2)."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme
from introspected import ISSUER, OPAQUE, OTHER, Server, client_of

from rapidjws import ConfigurationError, Engine, Issuer, RapidJWSError
from rapidjws.cli.config_check import problems_of
from rapidjws.introspection import Introspection, IntrospectionClient, IntrospectionServers
from rapidjws.keys.settings import Transport


def engine(*servers: Introspection) -> Engine:
    """Return an engine of two issuers that asks several servers."""
    issuers = [
        Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience=one.audience) for one in (ISSUER, OTHER)
    ]
    return Engine(*issuers, workers=1, introspection=IntrospectionServers(*servers))


def token(by: Any = ISSUER, **claims: Any) -> str:
    """Return a good token of an issuer."""
    return by.token(by.claims(int(time.time()), **claims))


def test_each_server_is_asked_about_its_own_issuers_alone() -> None:
    """A token goes to no other server, and each server's word counts for its own."""
    mine, theirs = Server({"active": True}), Server({"active": False})
    asking = engine(
        Introspection(client_of(mine), issuers=ISSUER.iss),
        Introspection(client_of(theirs), issuers=OTHER.iss),
    )
    assert (asking.decide(token()).code, mine.count, theirs.count) == ("ok", 1, 0)
    assert (asking.decide(token(OTHER)).code, mine.count, theirs.count) == ("token_inactive", 1, 1)


def test_each_opinion_that_is_due_must_call_it_active() -> None:
    """By route and by scope: two servers that are due both count, and neither hides the other's refusal."""
    cases = (((True, True), "ok"), ((False, True), "token_inactive"), ((True, False), "token_inactive"))
    for answers, code in cases:
        first, second = (Server({"active": one}) for one in answers)
        asking = engine(
            Introspection(client_of(first), issuers=ISSUER.iss),
            Introspection(client_of(second), issuers=ISSUER.iss, routes="/payments", scopes="pay"),
        )
        assert asking.decide(token(scope="pay"), route="/payments/1").code == code
    second = Server({"active": False})
    asking = engine(
        Introspection(client_of(Server()), issuers=ISSUER.iss),
        Introspection(client_of(second), issuers=ISSUER.iss, routes="/payments", scopes="pay"),
    )
    assert asking.decide(token(scope="pay"), route="/orders").code == "ok"
    assert asking.decide(token(scope="read"), route="/payments").code == "ok"
    assert second.count == 0


def test_a_binding_is_compared_behind_several_servers() -> None:
    """Two opinions that are active make no bound token a bearer token."""
    asking = engine(
        Introspection(client_of(Server()), issuers=ISSUER.iss),
        Introspection(client_of(Server()), issuers=ISSUER.iss),
    )
    asking.replace_issuers(
        Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience, cnf="checked")
    )
    assert asking.decide(token(cnf={"jkt": "x" * 43})).code == "binding_unchecked"


def test_opaque_tokens_go_to_one_server() -> None:
    """To the one that takes them; without one nobody is asked, and two are refused at the start."""
    mine, theirs = Server({"active": True, "sub": "user-1"}), Server({"active": True})
    takes = Introspection(client_of(mine), opaque_issuer=ISSUER.iss)
    asking = engine(Introspection(client_of(theirs), issuers=OTHER.iss), takes)
    assert (asking.decide(OPAQUE).code, mine.count, theirs.count) == ("ok", 1, 0)
    nobody = engine(Introspection(client_of(theirs), issuers=OTHER.iss))
    assert (nobody.decide(OPAQUE).outcome, theirs.count) == ("deny", 0)
    with pytest.raises(ConfigurationError, match="opaque_issuer"):
        IntrospectionServers(takes, Introspection(client_of(mine), opaque_issuer=OTHER.iss))
    with pytest.raises(ConfigurationError, match="servers"):
        IntrospectionServers()


def test_who_waits_is_known() -> None:
    """A token is remembered once each server that is due remembers it: until then no loop decides on it."""
    first = Introspection(client_of(Server()), issuers=ISSUER.iss)
    second = Introspection(client_of(Server()), issuers=OTHER.iss)
    servers = IntrospectionServers(first, second)
    assert servers.concerns([OTHER.iss])
    assert not servers.concerns(["https://nobody.example"])
    made = token().encode()
    asking = engine(first, second)
    assert asking.decide(made).code == "ok"
    assert first.is_known(made)
    assert not servers.is_known(made)
    check = servers.check(made, None, None, lambda: (ISSUER.iss,))
    assert check is not None
    assert not check.blocking
    other = servers.check(token(OTHER).encode(), None, None, lambda: (OTHER.iss,))
    assert other is not None
    assert other.blocking


def test_only_servers_that_are_due_keep_a_decision_off_the_loop() -> None:
    """On a remembered token the loop decides, whatever the servers of other issuers know; on no other."""
    first = Introspection(client_of(Server()), issuers=ISSUER.iss)
    second = Introspection(client_of(Server()), issuers=OTHER.iss, opaque_issuer=OTHER.iss)
    servers = IntrospectionServers(first, second)
    asking = engine(first, second)
    asking.introspection = servers
    mine, theirs, opaque = token().encode(), token(OTHER).encode(), OPAQUE.encode()
    unknown = [asking._is_quick(one) for one in (mine, theirs, opaque)]
    assert (unknown, [asking.decide(one).code for one in (mine, theirs, opaque)]) == ([False] * 3, ["ok"] * 3)
    assert [asking._is_quick(one) for one in (mine, theirs, opaque)] == [True] * 3
    assert not asking._is_quick(token(sub="another").encode())
    alone = Engine(
        Issuer(OTHER.iss, keys=OTHER.jwks, algorithms=["ES256"], audience=OTHER.audience),
        workers=1,
        introspection=first,
    )
    assert alone._is_quick(theirs)
    asked = token(sub="asked").encode()
    assert asking.decide(asked).code == "ok"
    assert not servers.is_known(asked, lambda: (ISSUER.iss, OTHER.iss))  # both are due, and one knows it
    both: tuple[Introspection | IntrospectionServers, ...] = (first, servers)
    for one in both:
        assert not one.is_known(token(sub="a").encode(), lambda: (ISSUER.iss, OTHER.iss))
        assert not one.is_known(token(sub="a").encode(), tuple)


def test_whose_a_token_is_is_remembered_of_known_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remembered token is read once for its issuer; strangers are never kept, and it is bounded."""
    monkeypatch.setattr("rapidjws.introspection.servers.NAMED_MAX", 2)
    servers = IntrospectionServers(
        Introspection(client_of(Server()), issuers=ISSUER.iss),
        Introspection(client_of(Server()), issuers=OTHER.iss),
    )
    reads: list[int] = []
    asking = engine(Introspection(client_of(Server()), issuers=ISSUER.iss))
    asking.introspection = servers

    def named() -> tuple[str, ...]:
        reads.append(1)
        return (ISSUER.iss,)

    for number in range(3):
        made = token(sub=str(number)).encode()
        assert asking.decide(made).code == "ok"
        assert [servers.is_known(made, named) for _ in range(3)] == [True] * 3
    assert (len(reads), len(servers._named)) == (3, 1)
    for number in range(9):
        assert servers.is_known(token(sub=f"of-nobody-{number}"), lambda: ("https://nobody.example",))
        assert not servers.is_known(token(sub=f"unasked-{number}"), named)
    assert len(servers._named) == 1


# --- in a configuration ----------------------------------------------------------------------------------


def configured(folder: Path, servers: Any, **beside: Any) -> tuple[int, str]:
    """Return what the check of a file says about servers."""
    (folder / "secret").write_text("s3cret")
    issuers = [{"iss": one, "jwks_url": f"{one}/jwks", "algorithms": ["ES256"], "audience": "api"}
               for one in (ISSUER.iss, OTHER.iss)]  # fmt: skip
    path = folder / "c.json"
    path.write_text(json.dumps({"issuers": issuers, "introspection": {"servers": servers, **beside}}))
    found = problems_of(path, lambda table: None)
    return int(bool(found)), "\n".join(map(str, found))


def server(name: str, **settings: Any) -> dict[str, Any]:
    """Return the table of a server."""
    common = {"url": "https://as.example/i", "client_id": "gw", "client_secret_file": "secret"}
    return {"name": name, **common, "issuers": [ISSUER.iss], **settings}


def test_servers_in_a_configuration(tmp_path: Path) -> None:
    """Several are good; what is wrong with one names it."""
    second = server("b", issuers=[OTHER.iss], opaque_issuer=OTHER.iss)
    assert configured(tmp_path, [server("a"), second]) == (0, "")
    for servers, beside, words in (
        ([server("a"), server("a")], {}, "a name for each, once"),
        ([server("a", issuers=["https://nobody.example"])], {}, "in a, issuers: configured issuers"),
        ([server("a", on_failure="permit")], {}, "in a, on_failure"),
        ([server("a", opaque_issuer="x"), server("b", opaque_issuer="y")], {}, "one server with it at most"),
        ([server("a", uri="https://as.example/i")], {}, "servers[0].uri"),
        ([server("a", cache_s="30")], {}, "servers[0].cache_s"),
        ([server("a", servers=[])], {}, "servers[0].servers"),
        ([server("a")], {"cache_s": 30}, "introspection.cache_s: a place in one of servers"),
        ([server("a", client_auth="tls_client_auth")], {}, "in a, client_certificate_file"),
    ):
        status, text = configured(tmp_path, servers, **beside)
        assert (status, words in text) == (1, True), (words, text)


# --- a client certificate --------------------------------------------------------------------------------


class Endpoint:
    """An introspection endpoint over TLS that asks for a client certificate, and says whose came."""

    def __init__(self, authority: trustme.CA) -> None:
        self.seen: list[tuple[str, dict[str, list[str]]]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Answer, and note who asks."""
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                found: Any = self.connection
                names = dict(one[0] for one in found.getpeercert()["subject"])
                endpoint.seen.append((names.get("commonName", ""), parse_qs(body)))
                answer = json.dumps({"active": True}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/introspect"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)


@pytest.fixture(scope="module", name="authority")
def _authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(name="endpoint")
def _endpoint(authority: trustme.CA) -> Iterator[Endpoint]:
    made = Endpoint(authority)
    yield made
    made.close()


def certificate(folder: Path, authority: trustme.CA, name: str) -> Path:
    """Write a client's certificate and key into one file."""
    path, made = folder / "client.pem", authority.issue_cert("gw.example", common_name=name)
    path.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    path.chmod(0o600)
    return path


def by_certificate(endpoint: Endpoint, authority: trustme.CA, path: Path | None) -> IntrospectionClient:
    """Return a client that shows the certificate in a file."""
    transport = Transport(timeout_s=20.0, ca=authority.cert_pem.bytes().decode(),
                          client_certificate=None if path is None else str(path))  # fmt: skip
    auth: Any = "tls_client_auth"
    return IntrospectionClient(endpoint.url, client_id="gw", auth=auth, transport=transport)


def test_a_client_is_known_by_its_certificate(
    endpoint: Endpoint, authority: trustme.CA, tmp_path: Path
) -> None:
    """The server sees it and client_id, no secret; a new certificate in the file is shown from then on."""
    client = by_certificate(endpoint, authority, certificate(tmp_path, authority, "first"))
    assert client.ask("a-token").active
    time.sleep(0.01)  # another time of the file
    certificate(tmp_path, authority, "second")
    assert client.ask("a-token").active
    assert [name for name, _ in endpoint.seen] == ["first", "second"]
    form = {"token": ["a-token"], "token_type_hint": ["access_token"], "client_id": ["gw"]}
    assert [found for _, found in endpoint.seen] == [form, form]


def test_a_certificate_that_cannot_be_shown(
    endpoint: Endpoint, authority: trustme.CA, tmp_path: Path
) -> None:
    """At the start it is an error; one that goes later, or that the server does not know, is an outage."""
    for path in (None, tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigurationError, match="client_certificate"):
            by_certificate(endpoint, authority, path)
    (tmp_path / "nonsense").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(ConfigurationError, match="client_certificate"):
        by_certificate(endpoint, authority, tmp_path / "nonsense")
    stranger = certificate(tmp_path, trustme.CA(), "stranger")
    client = by_certificate(endpoint, authority, stranger)
    with pytest.raises(RapidJWSError) as refused:
        client.ask("a-token")
    assert refused.value.code == "introspection_unavailable"
    stranger.unlink()
    with pytest.raises(RapidJWSError, match="credential"):
        client.ask("a-token")
    assert endpoint.seen == []


def test_a_certificate_is_no_secret_besides(tmp_path: Path, authority: trustme.CA) -> None:
    """tls_client_auth takes no secret, and needs client_id."""
    auth: Any = "tls_client_auth"
    transport = Transport(client_certificate=str(certificate(tmp_path, authority, "gw")))
    for settings in ({"client_id": "gw", "client_secret": "s"}, {}):
        with pytest.raises(ConfigurationError):
            IntrospectionClient("https://as.example/i", auth=auth, transport=transport, **settings)  # type: ignore[arg-type]
