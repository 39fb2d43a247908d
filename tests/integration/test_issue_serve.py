"""`rapidjws issue serve` over its sockets: tokens, keys and metrics, one server for all."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from issue_process import QUICK, IssueServer
from typer.testing import CliRunner

from rapidjws import Engine, Issuer, JWKSet
from rapidjws.cli.app import app
from rapidjws.issuing.client_authentication import ASSERTION_TYPE
from rapidjws.observe.metric_list import METRICS
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

pytest.importorskip("httptools", reason="httptools absent: pip install 'rapidjws[server]'")

ISS = "https://issuer.example"
ORDERS = "https://orders.example"
KEY = make_key("ES256", kid="client")
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Served:
    """The server and its file."""

    def __init__(self, folder: Path) -> None:
        (folder / "keys").mkdir()
        (folder / "client.jwks").write_text(json.dumps({"keys": [KEY.public().as_dict()]}))
        self.config = folder / "issuing.toml"
        self.config.write_text(
            f'[issuing]\nissuer = "{ISS}"\nstate_file = "keys.json"\nkey_folder = "keys"\n{QUICK}'
            'revocations_file = "revoked.json"\n'
            '[publication]\nlisten = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\ntick_s = 0.05\n'
            '[token]\nlifetime_s = 30\naudit_file = "signatures.jsonl"\n'
            f'[[clients]]\nclient_id = "orders"\nkeys_file = "client.jwks"\naudiences = ["{ORDERS}"]\n'
            'scopes = ["read"]\n'
        )
        self.folder = folder
        self.server = IssueServer(self.config)
        self.address = self.server.address()
        self.metrics_address = self.server.address("metrics")
        self.server.line(" active")

    def ask(self, **more: Any) -> tuple[int, dict[str, Any]]:
        """Ask for a token."""
        now = int(time.time())
        claims = {"iss": "orders", "sub": "orders", "aud": ISS, "iat": now, "exp": now + 60,
                  "jti": f"{time.monotonic_ns()}-{threading.get_ident()}"}  # fmt: skip
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": sign_compact(json.dumps(claims).encode(), LocalSigner(KEY)),
        } | more
        request = urllib.request.Request(
            f"http://{self.address}/token", urlencode(form).encode(), {**FORM, "x-request-id": "r-1"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answered:
                return answered.status, json.load(answered)
        except HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read() or b"{}")

    def keys(self) -> JWKSet:
        """Return the published keys."""
        with urllib.request.urlopen(f"http://{self.address}/.well-known/jwks.json", timeout=60) as answered:
            return JWKSet.from_json(answered.read())

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return the samples that are served now, by another's parser."""
        from prometheus_client.parser import text_string_to_metric_families

        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=60) as answered:
            text = answered.read().decode()
        families = list(text_string_to_metric_families(text))
        names = {f"{one.name}_total" if one.type == "counter" else one.name for one in families}
        assert names == set(METRICS)
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in families
            for one in family.samples
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a server whose first key signs."""
    made = Served(tmp_path_factory.mktemp("issue"))
    yield made
    assert made.server.end() == 0


def test_a_token_over_the_socket_verifies_and_is_audited(served: Served) -> None:
    """A client gets a token by its assertion; it verifies by the published keys; its digest is recorded."""
    status, answer = served.ask()
    assert (status, answer["expires_in"], answer["scope"]) == (200, 30, "read"), answer
    engine = Engine(Issuer(ISS, keys=served.keys(), algorithms=["ES256"], audience=ORDERS, typ="at+jwt"))
    assert engine.verify(answer["access_token"]).claims["sub"] == "orders"
    lines = (served.folder / "signatures.jsonl").read_text().splitlines()
    record = json.loads(lines[-1])
    assert (record["who"], record["request_id"], record["result"]) == ("orders", "r-1", "ok")
    assert answer["access_token"] not in "".join(lines)


def test_refusals_over_the_socket_are_those_of_the_rfc(served: Served) -> None:
    """A forged assertion, a scope too many, a body too large and a GET have their answers; none waits."""
    other = LocalSigner(make_key("ES256", kid="client"))
    now = int(time.time())
    claims = {"iss": "orders", "sub": "orders", "aud": ISS, "iat": now, "exp": now + 60, "jti": "forged"}
    forged = sign_compact(json.dumps(claims).encode(), other)
    assert served.ask(client_assertion=forged) == (401, {"error": "invalid_client"})
    assert served.ask(scope="admin")[1]["error"] == "invalid_scope"
    assert served.ask(padding="x" * 70_000)[0] == 413
    connection = HTTPConnection(served.address, timeout=60)
    connection.request("GET", "/token")
    answered = connection.getresponse()
    assert (answered.status, answered.getheader("allow")) == (405, "POST")
    connection.close()


def test_metrics_over_their_own_socket(served: Served) -> None:
    """Every metric of the list is there, signatures are counted, and the public port has none."""
    before = served.metrics()
    asked = [threading.Thread(target=served.ask) for _ in range(8)]
    for one in asked:
        one.start()
    for one in asked:
        one.join(60)
    after = served.metrics()
    key = ("rapidjws_token_requests_total", (("client", "orders"), ("result", "ok")))
    assert after[key] - before.get(key, 0) == 8
    signed = (
        "rapidjws_signing_duration_seconds_count",
        (("alg", "ES256"), ("backend", "local"), ("result", "ok")),
    )
    assert after[signed] - before.get(signed, 0) == 8
    active = ("rapidjws_issuer_keys", (("alg", "ES256"), ("issuer", ISS), ("stage", "active")))
    assert after[active] == 1
    assert after["rapidjws_issuer_leads", (("issuer", ISS),)] == 1
    for address, path in ((served.address, "/metrics"), (served.metrics_address, "/token")):
        with pytest.raises(HTTPError) as absent:
            urllib.request.urlopen(f"http://{address}{path}", timeout=60)
        assert absent.value.code == 404
        absent.value.close()


def test_a_drill_and_an_emergency_beside_the_server_are_measured_by_it(served: Served) -> None:
    """Stages of both stand apart in the server's metrics; after the emergency tokens have the next key."""
    kid = next(one.kid for one in served.keys().keys)
    words = ["emergency", "--kid", str(kid), "--why", "found on a disk", "--config", str(served.config)]
    for drill in (["--drill"], []):
        done = CliRunner().invoke(app, ["issue", *words, *drill])
        assert done.exit_code == 0, done.output
    found = served.metrics()
    stages = {
        (dict(labels)["stage"], dict(labels)["drill"])
        for name, labels in found
        if name == "rapidjws_emergency_rotation_seconds"
    }
    drilled = {("replaced", "true"), ("confirmed", "true")}
    assert stages == drilled | {("replaced", "false"), ("revoked", "false"), ("confirmed", "false")}
    assert kid not in {one.kid for one in served.keys().keys}
    token = str(served.ask()[1]["access_token"])
    engine = Engine(Issuer(ISS, keys=served.keys(), algorithms=["ES256"], audience=ORDERS, typ="at+jwt"))
    assert engine.verify(token).header["kid"] != kid


def test_SIGHUP_ends_nothing_and_SIGTERM_hands_the_lease_on(tmp_path: Path) -> None:
    """SIGHUP is answered by a line, and after SIGTERM another issuer leads before the lease's end."""
    (tmp_path / "keys").mkdir()
    config = tmp_path / "issuing.toml"
    config.write_text(
        f'[issuing]\nissuer = "{ISS}"\nstate_file = "keys.json"\nkey_folder = "keys"\nlease_s = 3600\n'
        '[publication]\nlisten = "127.0.0.1:0"\ntick_s = 0.05\n'
    )
    server = IssueServer(config)
    server.line(" next")
    server.process.send_signal(signal.SIGHUP)
    server.line("SIGHUP changes nothing")
    assert CliRunner().invoke(app, ["issue", "tick", "--config", str(config)]).exit_code == 1
    assert server.end() == 0
    assert CliRunner().invoke(app, ["issue", "tick", "--config", str(config)]).exit_code == 0
