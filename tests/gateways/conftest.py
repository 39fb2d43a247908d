"""A sidecar, a service, and each real gateway in front of them; started once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from gates import GATEWAYS, Service, Sidecar, free_port, serving, started

from rapidjws import JWK
from rapidjws.testing import make_key


@pytest.fixture(scope="session")
def grpc_port() -> int:
    """Give the port of the sidecar's gRPC."""
    return free_port()


@pytest.fixture(scope="session")
def sender() -> JWK:
    """Give the key of whoever signs bodies below ``/hooks``."""
    return make_key("ES256", kid="sender-1")


@pytest.fixture(scope="session")
def sidecar(grpc_port: int, sender: JWK, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Start a sidecar with two workers."""
    folder, grpc = tmp_path_factory.mktemp("sidecar"), f"127.0.0.1:{grpc_port}"
    claims = {"tid": "X-Tenant", "/realm_access/roles": {"header": "X-Roles", "encoding": "base64url"}}
    (folder / "senders.json").write_text(json.dumps({"keys": [sender.public().as_dict()]}))
    keys = {"jwks_file": "senders.json", "algorithms": "ES256"}
    body = {"routes": ["/hooks/*"], "signature_headers": "X-Signature", **keys}
    server: dict[str, Any] = {
        "partner_header": "X-Partner",
        "grpc_listen": grpc,
        "grpc_server": "ngh2" if find_spec("ngh2") else "grpcio",  # test_envoy_grpc.py has both
        "claim_headers": claims,
        "body": body,
    }
    with serving(folder, **server) as one:
        yield one


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """Start an API."""
    one = Service()
    yield one
    one.close()


class Gate:
    """A running gateway."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port


@pytest.fixture(scope="module", params=list(GATEWAYS))
def gate(
    request: pytest.FixtureRequest,
    sidecar: Sidecar,
    grpc_port: int,
    service: Service,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gate]:
    """Start each gateway."""
    folder, address = tmp_path_factory.mktemp(request.param), f"127.0.0.1:{sidecar.port}"
    with started(request.param, folder, service=service.port, sidecar=address, grpc=grpc_port) as port:
        yield Gate(request.param, port)
