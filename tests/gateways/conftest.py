"""A sidecar, a service, and each real gateway in front of them; started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gates import GATEWAYS, Service, Sidecar, free_port, serving, started


@pytest.fixture(scope="session")
def grpc_port() -> int:
    """Give the port of the sidecar's gRPC."""
    return free_port()


@pytest.fixture(scope="session")
def sidecar(grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Start a sidecar with two workers."""
    folder, grpc = tmp_path_factory.mktemp("sidecar"), f"127.0.0.1:{grpc_port}"
    claims = {"tid": "X-Tenant", "/realm_access/roles": {"header": "X-Roles", "encoding": "base64url"}}
    with serving(folder, partner_header="X-Partner", grpc_listen=grpc, claim_headers=claims) as one:
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
