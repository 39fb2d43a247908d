"""Each sign of an attack, brought about at a running sidecar: a line for the SIEM, and a count."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sidecar_process import until

from rapidjws.gameday.adapt import shorten
from rapidjws.gameday.testbed import Testbed
from rapidjws.observe.log_events import EVENTS, SECURITY
from rapidjws.testing import make_key

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

CANARY = "canary-b81c"


def edit(tables: dict[str, Any]) -> None:
    """One worker, which refreshes keys often, takes tokens of the second issuer once, and logs to files."""
    tables["server"]["workers"] = 1
    tables["logs"] = {"destination": "jws.log", "security_destination": "security.log"}
    tables["issuers"][1]["replay"] = True
    shorten(tables, 300)


def renamed(token: str, **header: str) -> str:
    """Return a token under another header, whose signature does not fit it any more."""
    octets = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return ".".join([octets, *token.split(".")[1:]])


def test_each_sign_of_an_attack_is_logged_and_counted(tmp_path: Path) -> None:
    """Six faults, six events in the stream for a SIEM and in the metrics; no token in either."""
    with Testbed(tmp_path, edit=edit) as bed:
        until(bed.is_ready, "the sidecar is ready")
        issuer, other = bed.issuers.values()
        kid = str(issuer.published[0]["kid"])
        log = tmp_path / "security.log"

        def seen(event: str) -> bool:
            lines = log.read_text().splitlines() if log.exists() else []
            return event in {json.loads(line)["event"] for line in lines}

        tokens = [bed.token(sub=CANARY), bed.token(other, sub=CANARY)]
        assert bed.ask(renamed(tokens[0], alg="HS256", kid=kid)) == 401
        until(lambda: seen("algorithm_confusion"), "a token tried another algorithm")

        assert [bed.ask(tokens[1]), bed.ask(tokens[1])] == [200, 401]
        until(lambda: seen("replay_detected"), "a token was used twice")

        issuer.published = [make_key("ES256", kid="mistake").as_dict(private=True), *issuer.published]
        until(lambda: seen("private_key_published"), "a private key was published")
        issuer.published = issuer.published[1:]

        issuer.rotate(kid=kid)
        until(lambda: seen("kid_rebound"), "another key came under a known kid")

        number = iter(range(100_000))
        until(
            lambda: (
                bed.ask(renamed(tokens[0], alg="ES256", kid=f"nobody-{next(number)}")) == 401
                and seen("unknown_kid_flood")
                and b'event="unknown_kid_flood"' in bed.get("/metrics")[1]
            ),
            "unknown kids came",
        )

        named = ("--kid", kid, "--issuer", issuer.iss)
        assert bed.run("keys", "revoke", *named, "--config", str(bed.config)) == 0
        until(lambda: bed.ask(bed.token(sub=CANARY)) == 401 and seen("revoked_key_used"), "a key was revoked")

        def counted() -> set[str]:
            named = r'^rapidjws_security_events_total\{event="(\w+)",issuer="[^"]*"\} [1-9]'
            return set(re.findall(named, bed.get("/metrics")[1].decode(), re.M))

        signs = {name for name, one in EVENTS.items() if one.logger == SECURITY}
        until(lambda: counted() == signs, "each sign is counted")
        text = bed.get("/metrics")[1].decode()
        named = f'issuer="{issuer.iss}"'
        floods = f"rapidjws_unknown_kid_floods_total{{{named}}} "
        assert (
            text.partition(floods)[2].split("\n")[0]
            == re.findall(
                rf'^rapidjws_security_events_total\{{event="unknown_kid_flood",{named}\}} (\S+)', text, re.M
            )[0]
        )
        assert f'rapidjws_security_events_total{{event="algorithm_confusion",{named}}} 1' in text
        written = b"".join(path.read_bytes() for path in tmp_path.glob("*.log")) + text.encode()
        for token in tokens:
            for piece in (CANARY, *token.split(".")[1:]):
                assert piece.encode() not in written
