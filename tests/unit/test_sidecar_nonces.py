"""Nonces of signed bodies in the sidecar: a new one with each refusal, over HTTP and gRPC, and used once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httptools", reason="the extra `server` is not installed")

from asked_bodies import SENDER, Asked, check_of, detached
from grpc_calls import SERVERS, checked

from rapidjws.config.read import load_config
from rapidjws.jwt.decision import Decision
from rapidjws.sidecar.app import app_from
from rapidjws.sidecar.body_settings import body_settings_from
from rapidjws.sidecar.check_responses import CheckResponses
from rapidjws.sidecar.response_cache import ResponseCache
from rapidjws.sidecar.settings import ServerSettings


@pytest.fixture(name="asking")
def _asking(tmp_path: Path) -> Iterator[Callable[..., Asked]]:
    """Give sidecars with nonces for the sender's detached signatures."""
    (tmp_path / "senders.json").write_text(json.dumps({"keys": [SENDER.public().as_dict()]}))
    (tmp_path / "nonces").write_text("s" * 32)
    made: list[Asked] = []

    def ask(**section: Any) -> Asked:
        body = body_settings_from(
            {"jwks_file": "senders.json", "algorithms": ["ES256"], "signature_headers": "x-sig",
             "nonce_secrets_file": "nonces", **section},
            tmp_path,
        )  # fmt: skip
        made.append(Asked(ServerSettings(body=body, partner_header="x-partner")))
        return made[-1]

    yield ask
    for one in made:
        one.public.change_bus.close()


def test_a_nonce_is_given_out_with_the_refusal_and_used_once(asking: Any) -> None:
    """Each refusal has a nonce of its own, for the partner of the request; with it one body passes, once."""
    asked = asking()

    def send(nonce: str, partner: str = "shop") -> tuple[int, str]:
        body = json.dumps({"nonce": nonce}).encode()
        status = asked(body, [("x-sig", detached(body)), ("x-partner", partner)])
        lines = asked.heads[-1].decode().split("\r\n")
        given = [line.partition(": ")[2] for line in lines if line.startswith("replay-nonce: ")]
        assert len(given) == 1
        return status, given[0]

    status, third = send(send("made up")[1])
    assert (status, send(third)[0], send(third)[0]) == (200, 200, 401)
    first, second = send("made up")[1], send("made up")[1]
    assert first != second
    assert send(first, "bank")[0] == 401
    assert [send(first)[0] for _ in range(2)] == [200, 401]
    assert send(second)[0] == 200


@pytest.mark.parametrize("server", SERVERS)
def test_envoy_gets_a_nonce_with_each_refusal(server: str, asking: Any) -> None:
    """Over gRPC too it is a new one each time, and none is kept for another request."""
    pytest.importorskip("grpc")
    asked = asking()
    body = b'{"amount": 1}'
    check = check_of(body, [("x-sig", detached(body))])
    first, second = (checked(server, asked.public, check) for _ in range(2))
    found = [one.partition(b"replay-nonce")[2][:60] for one in (first, second)]
    assert all(len(one) == 60 for one in found)
    assert found[0] != found[1]
    nonce = re.search(rb"replay-nonce.{2,4}?([A-Za-z0-9_-]{52})", first, re.DOTALL)
    assert nonce is not None
    body = json.dumps({"nonce": nonce[1].decode()}).encode()
    good = checked(server, asked.public, check_of(body, [("x-sig", detached(body))]))
    following = re.search(rb"replay-nonce.{2,4}?([A-Za-z0-9_-]{52})", good, re.DOTALL)
    assert following is not None
    body = json.dumps({"nonce": following[1].decode()}).encode()
    asked_again = check_of(body, [("x-sig", detached(body))])
    codes = [b"nonce_" in checked(server, asked.public, asked_again) for _ in range(2)]
    assert codes == [False, True]


def test_a_nonce_stands_where_the_setting_says(asking: Any) -> None:
    """By setting it stands in the protected header, and not in a body's member then."""
    asked = asking(nonce_place="header", nonce_required=False)
    body = b'{"nonce": "made up"}'
    assert asked(body, [("x-sig", detached(body))]) == 200
    assert asked(body, [("x-sig", detached(body, {"nonce": "made up"}))]) == 401


def test_a_refusal_without_a_nonce_holds_none_of_another() -> None:
    """What is kept of answers is one without a nonce, and it stands for none that has one."""
    http, envoy = (
        ResponseCache(ServerSettings(), scheme="JWS"),
        CheckResponses(ServerSettings(), scheme="JWS"),
    )
    refused = Decision(outcome="deny", code="nonce_missing")
    for reply in (
        lambda nonce: http.reply(refused, b"POST", nonce),
        lambda nonce: envoy.reply(refused, [], nonce=nonce),
    ):
        for given in ("one", None, "two", None):
            found = reply(given)
            assert [name in found for name in (b"one", b"two", b"replay-nonce")] == [
                given == "one", given == "two", given is not None,
            ]  # fmt: skip


def test_a_service_with_nonces_has_the_store_of_the_configuration(tmp_path: Path) -> None:
    """Their uses are recorded where ``replay`` says, which all workers share."""
    (tmp_path / "senders.json").write_text(json.dumps({"keys": [SENDER.public().as_dict()]}))
    (tmp_path / "nonces").write_text("s" * 32)
    path = tmp_path / "c.toml"
    text = (
        '[[issuers]]\niss = "https://i.example"\nalgorithms = ["ES256"]\njwks_file = "senders.json"\n'
        'required = false\n[server.body]\nmember = "/a"\n'
    )
    for settings, is_shared in (("", False), ('nonce_secrets_file = "nonces"\n', True)):
        path.write_text(text + settings)
        app = app_from(load_config(path))
        assert (app.body_uses is not None) is is_shared
