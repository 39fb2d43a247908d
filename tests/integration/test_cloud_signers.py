"""Signers of Google and Azure through the vendors' own clients, against servers of recorded shapes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from issuing_world import pair

from rapidjws import JWK, RapidJWSError, Verifier
from rapidjws.jose.pyca_keys import private_key
from rapidjws.signing import sign_compact
from rapidjws.signing.azure_key_vault import AzureKeyVaultSigner
from rapidjws.signing.gcp_kms import GcpKmsSigner

CANARY = "canary-message-of-the-service"
VERSION = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"


def der(alg: str, digest: bytes) -> bytes:
    """Sign a digest as a KMS does: DER for curves."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    of = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[alg[2:5]]()
    key = private_key(pair(alg, 0))
    if alg.startswith("ES"):
        return bytes(key.sign(digest, ec.ECDSA(utils.Prehashed(of))))
    form: Any = padding.PKCS1v15() if alg.startswith("RS") else padding.PSS(padding.MGF1(of), of.digest_size)
    return bytes(key.sign(digest, form, utils.Prehashed(of)))


def check(signer: Any) -> None:
    """Sign a token, and verify it by the public key that the service gave."""
    verifier = Verifier(signer.public_jwk, algorithms=[signer.alg])
    assert verifier.verify(sign_compact(b"{}", signer)).payload == b"{}"
    assert signer.public_jwk.thumbprint() == pair(signer.alg, 0).thumbprint()


def code_of(call: Any) -> str:
    """Return the code of an error, in whose whole chain the service's words are not."""
    with pytest.raises(RapidJWSError) as caught:
        call()
    fault: BaseException | None = caught.value
    while fault is not None:
        assert CANARY not in f"{fault!r}{fault}"
        fault = fault.__cause__ if fault.__suppress_context__ else fault.__context__  # as it is shown
    return caught.value.code


# --- Google ------------------------------------------------------------------------------------------------

_GCP = {"ES256": "EC_SIGN_P256_SHA256", "ES384": "EC_SIGN_P384_SHA384", "RS256": "RSA_SIGN_PKCS1_2048_SHA256",
        "PS256": "RSA_SIGN_PSS_2048_SHA256"}  # fmt: skip


class GcpServer:
    """The two calls over real gRPC, for Google's own client."""

    def __init__(self) -> None:
        import grpc
        from google.cloud import kms_v1

        self.alg, self.fault, self.spoils, self.renames = "ES256", None, False, False
        self._types = kms_v1.types
        calls = {"GetPublicKey": self._public, "AsymmetricSign": self._sign}
        handlers = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
        self._server = grpc.server(ThreadPoolExecutor(2))
        service = grpc.method_handlers_generic_handler("google.cloud.kms.v1.KeyManagementService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        transport = kms_v1.services.key_management_service.transports.KeyManagementServiceGrpcTransport
        self.client = kms_v1.KeyManagementServiceClient(transport=transport(channel=self._channel))

    def _public(self, octets: bytes, context: Any) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._fail(context)
        assert self._types.GetPublicKeyRequest.deserialize(octets).name == VERSION
        key = private_key(pair(self.alg, 0)).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        answer = self._types.PublicKey(pem=pem, algorithm=_GCP[self.alg], name=VERSION)
        return bytes(self._types.PublicKey.serialize(answer))

    def _sign(self, octets: bytes, context: Any) -> bytes:
        self._fail(context)
        request = self._types.AsymmetricSignRequest.deserialize(octets)
        digest = getattr(request.digest, f"sha{self.alg[2:]}")
        signature = der(self.alg, hashlib.sha256(b"other").digest() if self.spoils else digest)
        name = f"{request.name}0" if self.renames else request.name
        answer = self._types.AsymmetricSignResponse(signature=signature, name=name)
        return bytes(self._types.AsymmetricSignResponse.serialize(answer))

    def _fail(self, context: Any) -> None:
        import grpc

        if self.fault is not None:
            context.abort(getattr(grpc.StatusCode, self.fault), CANARY)

    def close(self) -> None:
        """End."""
        self._channel.close()
        self._server.stop(None).wait(60)


@pytest.fixture(scope="module")
def gcp() -> Iterator[GcpServer]:
    """Give the server."""
    pytest.importorskip("google.cloud.kms", reason="google-cloud-kms absent: pip install 'rapidjws[gcp]'")
    made = GcpServer()
    yield made
    made.close()


@pytest.mark.parametrize("alg", _GCP)
def test_google_signs(gcp: GcpServer, alg: str) -> None:
    """Each algorithm signs over Google's own client, R || S for ECDSA; another algorithm is refused."""
    gcp.alg = alg
    check(GcpKmsSigner(VERSION, alg, client=gcp.client, timeout_s=60))
    other = "RS512" if alg != "RS512" else "ES256"
    assert code_of(lambda: GcpKmsSigner(VERSION, other, client=gcp.client, timeout_s=60)) == "signer_refused"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("PERMISSION_DENIED", "signer_refused"), ("NOT_FOUND", "signer_refused"),
     ("RESOURCE_EXHAUSTED", "signer_throttled"), ("UNAVAILABLE", "signer_unavailable"),
     ("FAILED_PRECONDITION", "signer_refused"), ("INTERNAL", "signer_unavailable")],
)  # fmt: skip
def test_google_refusals_have_their_codes(gcp: GcpServer, fault: str, code: str) -> None:
    """A permission, a quota and an outage are told apart, and no word of the service leaks."""
    gcp.alg = "ES256"
    signer = GcpKmsSigner(VERSION, "ES256", client=gcp.client, timeout_s=60)
    gcp.fault = fault
    try:
        assert code_of(lambda: signer.sign(b"a.b")) == code
    finally:
        gcp.fault = None


def test_a_faulty_signature_of_google_does_not_leave(gcp: GcpServer) -> None:
    """A signature over something else is refused here."""
    gcp.alg = "ES256"
    signer = GcpKmsSigner(VERSION, "ES256", client=gcp.client, timeout_s=60)
    gcp.spoils = True
    try:
        assert code_of(lambda: signer.sign(b"a.b")) == "signature_faulty"
    finally:
        gcp.spoils = False


def test_a_signature_of_another_version_of_google_does_not_leave(gcp: GcpServer) -> None:
    """An answer that names another version than was asked for is refused, whatever it holds."""
    gcp.alg = "ES256"
    signer = GcpKmsSigner(VERSION, "ES256", client=gcp.client, timeout_s=60, check="never")
    gcp.renames = True
    try:
        assert code_of(lambda: signer.sign(b"a.b")) == "signature_faulty"
    finally:
        gcp.renames = False


# --- Azure -------------------------------------------------------------------------------------------------

VAULT = "https://v.vault.azure.net"


def vault(
    alg: str, status: int = 200, operations: tuple[str, ...] = ("sign", "verify"), **members: str
) -> tuple[dict[str, Any], list[str]]:
    """Return settings for Azure's clients, under which Key Vault's answers come from here, and its calls."""
    pytest.importorskip("azure.keyvault.keys", reason="azure absent: pip install 'rapidjws[azure]'")
    import requests
    from azure.core.pipeline.transport import RequestsTransport

    calls: list[str] = []

    class Adapter(requests.adapters.BaseAdapter):
        """Answers key and sign requests: first the challenge, then what is asked for."""

        def send(self, request: Any, **_: Any) -> Any:
            """Answer one request."""
            answer = requests.Response()
            answer.request, answer.url, answer.status_code = request, request.url, 200
            answer.headers["Content-Type"] = "application/json"
            whole: dict[str, Any] = {}
            if "Authorization" not in request.headers:
                answer.status_code = 401
                answer.headers["WWW-Authenticate"] = (
                    f'Bearer authorization="https://login.example/{"0" * 8}",'
                    ' resource="https://vault.azure.net"'
                )
            else:
                calls.append(request.url)
                whole = _key(alg, operations, members)
                if "/sign" in request.url:
                    answer.status_code = status
                    bad = {"error": {"code": "x", "message": CANARY}}
                    whole = _signed(alg, request) if status == 200 else bad
            answer.raw = io.BytesIO(json.dumps(whole).encode())
            return answer

        def close(self) -> None:
            """Do nothing."""

    session = requests.Session()
    session.mount("https://", Adapter())
    return {"transport": RequestsTransport(session=session, session_owner=False)}, calls


def _key(alg: str, operations: tuple[str, ...], more: dict[str, str]) -> dict[str, Any]:
    public: JWK = pair(alg, 0).public()
    members = {
        name: value for name, value in public.as_dict().items() if name in ("kty", "n", "e", "crv", "x", "y")
    }
    return {
        "key": {"kid": f"{VAULT}/keys/k/1", "key_ops": list(operations), **members, **more},
        "attributes": {"enabled": True},
    }


def _signed(alg: str, request: Any) -> dict[str, Any]:
    from rapidjws.signing.backend import signature_from_der

    given = json.loads(request.body)
    assert given["alg"] == alg
    digest = base64.urlsafe_b64decode(given["value"] + "=" * (-len(given["value"]) % 4))
    signature = der(alg, digest)
    if alg.startswith("ES"):
        signature = signature_from_der(signature, alg)
    return {"kid": f"{VAULT}/keys/k/1", "value": base64.urlsafe_b64encode(signature).decode().rstrip("=")}


class Credential:
    """A credential of azure-identity."""

    def get_token(self, *scopes: str, **_: Any) -> Any:
        """Return a token."""
        from azure.core.credentials import AccessToken

        return AccessToken("canary-token", 4_000_000_000)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256", "PS256"])
def test_azure_signs(alg: str) -> None:
    """Each algorithm signs over Azure's own client, in the vault and not here."""
    settings, calls = vault(alg)
    check(AzureKeyVaultSigner(VAULT, "k", alg, credential=Credential(), client_settings=settings))
    assert sum("/sign" in one for one in calls) == 1
    wrong = "RS256" if alg.startswith("ES") else "ES256"
    assert code_of(
        lambda: AzureKeyVaultSigner(VAULT, "k", wrong, credential=Credential(), client_settings=vault(alg)[0])
    ) == "signer_refused"  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "signer_refused"),
        (404, "signer_refused"),
        (429, "signer_throttled"),
        (503, "signer_unavailable"),
    ],
)
def test_azure_refusals_have_their_codes(status: int, code: str) -> None:
    """A permission, a quota and an outage are told apart, and no word of the service leaks."""
    settings, _ = vault("ES256", status)
    signer = AzureKeyVaultSigner(VAULT, "k", "ES256", credential=Credential(), client_settings=settings)
    assert code_of(lambda: signer.sign(b"a.b")) == code


def test_a_key_of_azure_that_may_not_sign_is_refused() -> None:
    """A key whose operations lack sign, and a secret, are refused when the signer is made."""
    secret, _ = vault("RS256", kty="oct-HSM")
    with pytest.raises(RapidJWSError) as refused:
        AzureKeyVaultSigner(VAULT, "k", "RS256", credential=Credential(), client_settings=secret)
    assert refused.value.code == "signer_refused"
    settings, _ = vault("ES256", operations=("verify",))
    with pytest.raises(RapidJWSError) as refused:
        AzureKeyVaultSigner(VAULT, "k", "ES256", credential=Credential(), client_settings=settings)
    assert refused.value.code == "signer_refused"
