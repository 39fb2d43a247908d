"""Local signers whose keys are in files or in the environment."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as kinds

from rapidjws import JWK, RapidJWSError, verify_raw
from rapidjws.jose.pyca_keys import private_key
from rapidjws.signing import LocalSigner
from rapidjws.signing.local_keys import FileSigner, private_key_from, signer_from_environment
from rapidjws.signing.new_key import make_key

KEY = make_key("ES256", kid="k")
OTHER = make_key("ES256", kid="o")
RSA = make_key("RS256")
PASSPHRASE = b"canary passphrase"


def pem(key: JWK = KEY, form: str = "PKCS8", passphrase: bytes | None = None) -> bytes:
    """Return a key in PEM."""
    how: Any = kinds.NoEncryption() if passphrase is None else kinds.BestAvailableEncryption(passphrase)
    octets: bytes = private_key(key).private_bytes(
        kinds.Encoding.PEM, getattr(kinds.PrivateFormat, form), how
    )
    return octets


def jwk(key: JWK = KEY) -> bytes:
    """Return a key as JSON."""
    return json.dumps(key.as_dict(private=True)).encode()


def written(path: Path, octets: bytes, mode: int = 0o600) -> Path:
    """Write a file in the place of another."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(octets)
    fresh.chmod(mode)
    fresh.replace(path)
    return path


@pytest.mark.parametrize(
    ("octets", "passphrase"),
    [
        (jwk(), None),
        (pem(), None),
        (pem(form="TraditionalOpenSSL"), None),
        (pem(passphrase=PASSPHRASE), PASSPHRASE),
        (pem(form="TraditionalOpenSSL", passphrase=PASSPHRASE), PASSPHRASE),
    ],
    ids=["jwk", "pkcs8", "sec1", "encrypted pkcs8", "encrypted sec1"],
)
def test_a_file_with_a_key_signs(tmp_path: Path, octets: bytes, passphrase: bytes | None) -> None:
    """A JWK and each kind of PEM sign, from a file and from the environment."""
    path = written(tmp_path / "key", octets)
    secret = None if passphrase is None else written(tmp_path / "passphrase", passphrase + b"\n")
    signer = FileSigner(path, alg="ES256", passphrase_file=secret)
    verify_raw("ES256", KEY.public(), b"x", signer.sign(b"x"))
    verify_raw("ES256", KEY.public(), b"x", asyncio.run(signer.asign(b"x")))
    assert signer.kid == ("k" if octets.startswith(b"{") else KEY.thumbprint())
    assert not signer.public_jwk.is_private
    environment = {"KEY": octets.decode(), "PASS": (passphrase or b"").decode()}
    name = None if passphrase is None else "PASS"
    found = signer_from_environment("KEY", alg="ES256", passphrase_name=name, environment=environment)
    verify_raw("ES256", KEY.public(), b"x", found.sign(b"x"))


@pytest.mark.parametrize(
    ("octets", "passphrase"),
    [
        (pem(passphrase=PASSPHRASE), None),
        (pem(passphrase=PASSPHRASE), b"wrong"),
        (pem(passphrase=PASSPHRASE)[:-90] + b"\n-----END ENCRYPTED PRIVATE KEY-----\n", PASSPHRASE),
        (pem(), PASSPHRASE),
        (jwk(), PASSPHRASE),
        (json.dumps(KEY.public().as_dict()).encode(), None),
        (b"", None),
        (b"-----BEGIN PRIVATE KEY-----\n", None),
        (pem(RSA), None),
    ],
    ids=["no passphrase", "wrong", "cut", "not encrypted", "jwk", "public", "empty", "torn", "rsa"],
)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(octets: bytes, passphrase: bytes | None) -> None:
    """No byte of a key or passphrase is in a message or in its chain."""

    def read() -> LocalSigner:
        alg = None if octets[:1] == b"{" else "ES256"
        return LocalSigner(private_key_from(octets, passphrase=passphrase, alg=alg), "ES256")

    with pytest.raises(RapidJWSError) as caught:
        read()
    text = "".join(traceback.format_exception(caught.value, chain=True))
    for secret in (str(KEY.as_dict(private=True)["d"]), PASSPHRASE.decode(), pem().decode().split("\n")[1]):
        assert secret not in text


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    """The key's file and the passphrase's file must be their owner's alone."""
    good = written(tmp_path / "good", pem(passphrase=PASSPHRASE))
    secret = written(tmp_path / "passphrase", PASSPHRASE)
    for mode in (0o640, 0o604, 0o660):
        for key, passphrase in ((good, secret), (secret, good)):
            key.chmod(mode)
            with pytest.raises(RapidJWSError) as caught:
                FileSigner(good, alg="ES256", passphrase_file=secret)
            assert caught.value.code == "key_readable_by_others"
            key.chmod(0o600)
            assert passphrase.exists()
    with pytest.raises(RapidJWSError) as caught:
        FileSigner(tmp_path / "nowhere")
    assert caught.value.code == "key_state_unavailable"
    with pytest.raises(RapidJWSError) as caught:
        signer_from_environment("NOT_SET", environment={})
    assert caught.value.code == "configuration_invalid"


def test_reload_takes_up_another_key_or_leaves_the_old_one(tmp_path: Path) -> None:
    """A changed file is taken up once; one that is broken or readable by others changes nothing."""
    path = written(tmp_path / "key", jwk())
    signer = FileSigner(path, alg="ES256")
    assert not signer.reload()
    held = signer.signer()
    written(path, jwk(OTHER))
    assert signer.reload()
    assert (signer.kid, held.kid) == ("o", "k")
    for octets, mode in ((b"{", 0o600), (jwk(), 0o644)):
        written(path, octets, mode)
        for _ in range(2):
            with pytest.raises(RapidJWSError):
                signer.reload()
        verify_raw("ES256", OTHER.public(), b"x", signer.sign(b"x"))
    written(path, jwk())
    assert signer.reload()
    assert str(KEY.as_dict(private=True)["d"]) not in repr(signer)
