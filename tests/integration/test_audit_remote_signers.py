"""A sidecar's trail whose checkpoints are signed in AWS KMS (moto) and in a PKCS#11 token (SoftHSM)."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from audited_sidecar import answer, audited
from gates import token
from sidecar_process import Service, until
from typer.testing import CliRunner

from rapidjws.audit import NoteKey, TrailReader, Verification
from rapidjws.cli.app import app

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "4711-canary"
ORIGIN = "gate.example/audit"


class Kms:
    """A KMS by moto's server, in a process that can be stopped.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def client(self) -> Any:
        """Return a client, once it answers."""
        import boto3
        from botocore.exceptions import BotoCoreError

        made = boto3.client("kms", region_name="eu-west-1", endpoint_url=self.url)

        def answers() -> bool:
            with contextlib.suppress(BotoCoreError):
                made.list_keys()
                return True
            return False

        until(answers, "no KMS")
        return made

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(60)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kms]:
    """Give a KMS, to which the environment leads boto3."""
    from gates import free_port

    pytest.importorskip("boto3", reason="boto3 absent: pip install 'rapidjws[aws]'")
    pytest.importorskip("flask_cors", reason="moto's server absent: pip install 'moto[server]'")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    made = Kms(free_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", made.url)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Give the settings of a token of SoftHSM with a key of P-256."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 absent: pip install 'rapidjws[pkcs11]'")
    if not LIBRARY.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 absent: apt-get install softhsm2")
    (tmp_path / "tokens").mkdir()
    config = tmp_path / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    command = ["softhsm2-util", "--init-token", "--free", "--label", "log", "--so-pin", "12345678"]
    subprocess.run([*command, "--pin", PIN], check=True, capture_output=True)
    making = (
        "import pkcs11\n"
        "from pkcs11.util.ec import encode_named_curve_parameters\n"
        f"token = pkcs11.lib({str(LIBRARY)!r}).get_token(token_label='log')\n"
        f"with token.open(rw=True, user_pin={PIN!r}) as session:\n"
        "    named = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters('secp256r1')}\n"
        "    made = session.create_domain_parameters(pkcs11.KeyType.EC, named, local=True)\n"
        "    made.generate_keypair(store=True, label='checkpoints')\n"
    )
    subprocess.run([sys.executable, "-c", making], check=True, timeout=60)  # a library of its own
    pin = tmp_path / "hsm.pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    return {
        "pkcs11_module": str(LIBRARY), "pkcs11_token": "log", "pkcs11_key": "checkpoints",
        "pkcs11_pin_file": "hsm.pin",
    }  # fmt: skip


def printed_key(folder: Path) -> str:
    """Return what ``audit key --config`` prints."""
    done = CliRunner().invoke(app, ["audit", "key", "--config", str(folder / "rapidjws.json")])
    assert done.exit_code == 0, done.output
    return done.output.strip()


def answered(port: int, count: int) -> list[str]:
    """Return tokens that were answered with 200."""
    given = [token(jti=f"{port}-{at}") for at in range(count)]
    return [one for one in given if answer(port, one) == 200]


def check(folder: Path, key: NoteKey, tokens: list[str]) -> None:
    """Compare a trail with the tokens that were answered."""
    reader = TrailReader(folder / "trail", key)
    assert Verification(reader).run().findings == []
    bundles = range((reader.size + 255) // 256)
    recorded = {orjson.loads(one).get("token") for at in bundles for one in reader.entries(at)}
    assert {hashlib.sha256(one.encode()).hexdigest() for one in tokens} <= recorded


def test_L_a_token_of_pkcs11_signs_checkpoints(tmp_path: Path, hsm: dict[str, str]) -> None:
    """The trail verifies under the key that the token has; the PIN stands nowhere."""
    with audited(tmp_path, key_file="", **hsm) as (service, port):
        tokens = answered(port, 20)
        assert len(tokens) == 20
        key = NoteKey.from_text(printed_key(tmp_path))
    assert key.alg == "ES256"
    check(tmp_path, key, tokens)
    assert PIN not in service.log.read_text("utf-8")


def test_L_decisions_go_on_while_a_kms_does_not_answer(tmp_path: Path, kms: Kms) -> None:
    """With ``refuse`` all are answered and recorded, over a restart too; the checkpoint follows later."""
    made = kms.client().create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    given = {"key_file": "", "kms_key": made, "kms_regions": ["eu-west-1"], "on_failure": "refuse"}
    config = tmp_path / "rapidjws.json"
    with audited(tmp_path, **given) as (service, port):
        key = NoteKey.from_text(printed_key(tmp_path))
        tokens = answered(port, 10)
        until(lambda: TrailReader(tmp_path / "trail", key).size >= 10, "no checkpoint")
        kms.process.send_signal(signal.SIGSTOP)
        tokens += answered(port, 10)
        assert len(tokens) == 20
        until(lambda: "audit_checkpoint_unsigned" in service.log.read_text("utf-8"), "no event")
        assert service.end() == 0
        found = orjson.loads(config.read_bytes())
        found["audit"]["log_key"] = key.text
        config.write_bytes(orjson.dumps(found))
        again = Service(tmp_path, ["--config", str(config)])
        try:
            again.wait_for(rf"rapidjws serve: 127\.0\.0\.1:{port}, 2 workers")
            tokens += answered(port, 10)
            assert len(tokens) == 30
            assert TrailReader(tmp_path / "trail", key).size == 10
            kms.process.send_signal(signal.SIGCONT)
            until(lambda: TrailReader(tmp_path / "trail", key).size >= 30, "no checkpoint")
        finally:
            again.end()
    check(tmp_path, key, tokens)
