"""A ``rapidjws issue serve`` with a signing endpoint, and requests to it that are made by hand."""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from issue_process import QUICK, IssueServer

from rapidjws import JWKSet, RapidJWSError
from rapidjws.issuing.client_authentication import ASSERTION_TYPE
from rapidjws.issuing.remote_signer import RemoteSigner
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

ISS = "https://issuer.example"
SIGN = f"{ISS}/sign"
NAMES = ("orders", "stock", "issuing", "plain", "sealing")
CLIENT_KEYS = {name: make_key("ES256", kid=name) for name in NAMES}
CLIENTS = """\
[signing_service]
[[signing_clients]]
client_id = "orders"
typ = ["order+jwt", "receipt+jwt"]
max_payload_bytes = 200
[[signing_clients]]
client_id = "stock"
typ = "stock+jwt"
kids = ["another"]
[[signing_clients]]
client_id = "sealing"
typ = "seal+jwt"
[[signing_clients]]
client_id = "issuing"
typ = "at+jwt"
may_issue = true
"""


def encoded(value: Any) -> bytes:
    """Return base64url of octets, or of JSON."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


class SigningServer:
    """The server and its file.

    Args:
        folder: Where all of it is.
        keys: The settings of where the keys are.
        more: Further tables.
        listen: Where it listens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keys: str = 'key_folder = "keys"\n',
        more: str = CLIENTS,
        listen: str = "127.0.0.1:0",
    ) -> None:
        self.folder = folder
        (folder / "keys").mkdir(exist_ok=True)
        self.config = folder / "issuing.toml"
        clients = ""
        for name, key in CLIENT_KEYS.items():
            (folder / f"{name}.jwks").write_text(json.dumps({"keys": [key.public().as_dict()]}))
            clients += f'[[clients]]\nclient_id = "{name}"\nkeys_file = "{name}.jwks"\n'
            is_sealing = name == "sealing" and "[signing_service]" in more and '"sealing"' in more
            clients += "grants = []\n" if is_sealing else 'audiences = ["https://orders.example"]\n'
        self.config.write_text(
            f'[issuing]\nissuer = "{ISS}"\nstate_file = "keys.json"\n{keys}{QUICK}'
            f'[publication]\nlisten = "{listen}"\ntick_s = 0.05\n'
            f'[token]\naudit_file = "signatures.jsonl"\n{clients}{more}'
        )
        self.server = IssueServer(self.config)
        self.address = self.server.address()
        self.server.line(" active")

    @property
    def url(self) -> str:
        """Return the signing endpoint."""
        return f"http://{self.address}/sign"

    def signer(self, client: str = "orders", **more: Any) -> RemoteSigner:
        """Return a signer of a client."""
        given: dict[str, Any] = {
            "client_id": client,
            "client_key": LocalSigner(CLIENT_KEYS[client]),
            "audience": SIGN,
            "timeout_s": 30.0,
            "insecure_allow_http": True,
        }
        return RemoteSigner(self.url, "ES256", **{**given, **more})

    def ask(
        self,
        client: str = "orders",
        *,
        key: Any = None,
        aud: str = SIGN,
        request_id: str = "r-1",
        path: str = "/sign",
        **form: Any,
    ) -> tuple[int, dict[str, Any], Any]:
        """Post a form with an assertion; return status, members and headers."""
        now = int(time.time())
        claims = {"iss": client, "sub": client, "aud": aud, "iat": now, "exp": now + 60,
                  "jti": secrets.token_hex(8)}  # fmt: skip
        assertion = sign_compact(json.dumps(claims).encode(), LocalSigner(key or CLIENT_KEYS[client]))
        whole = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **form}
        headers = {"content-type": "application/x-www-form-urlencoded", "x-request-id": request_id}
        url = f"http://{self.address}{path}"
        request = urllib.request.Request(url, urlencode(whole).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answered:
                return answered.status, json.load(answered), answered.headers
        except HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read() or b"{}"), refused.headers

    def kid(self) -> str:
        """Return the kid of the key that signs now."""
        return str(self.ask(alg="ES256")[1]["kid"])

    def keys(self) -> JWKSet:
        """Return the published keys."""
        with urllib.request.urlopen(f"http://{self.address}/.well-known/jwks.json", timeout=60) as answered:
            return JWKSet.from_json(answered.read())

    def records(self) -> list[dict[str, Any]]:
        """Return the audit's records, none before the first."""
        path = self.folder / "signatures.jsonl"
        return [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []

    def secrets(self) -> list[str]:
        """Return the private members of all keys of the issuer."""
        found = []
        for path in (self.folder / "keys").iterdir():
            found += [value for name, value in json.loads(path.read_text()).items() if name == "d"]
        return found


def code_of(call: Callable[[], Any]) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(RapidJWSError) as caught:
        call()
    return caught.value.code
