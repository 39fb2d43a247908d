"""No error that is raised where a key, a PIN or a passphrase is at hand holds it, in text, chain or frame."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rapidjws import JWK, RapidJWSError
from rapidjws.config.issuing_publication import secret_of
from rapidjws.issuing import LocalKeyMaker, Pkcs11KeyMaker, SigningKey
from rapidjws.signing.local_keys import FileSigner, private_key_from, signer_from_environment
from rapidjws.signing.new_key import make_key

CANARY = "canary-4711-secret"
KEY = make_key("ES256").as_dict(private=True)
SPOILED = json.dumps({**KEY, "x": KEY["y"]})
PEM = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"
LIBRARY = "/nonexistent.so"


def shown(fault: BaseException) -> str:
    """Return all that a report with chains and local variables could hold of our own frames."""
    found: list[str] = []
    todo: list[BaseException | None] = [fault]
    while todo:
        one = todo.pop()
        if one is None:
            continue
        todo += [one.__cause__, one.__context__]
        found += [repr(one), str(one), repr(one.args), repr(getattr(one, "__notes__", ""))]
        frames = traceback.TracebackException.from_exception(one, capture_locals=True).stack
        found += [repr(each.locals) for each in frames if each.filename != __file__]
    return "\n".join(found)


def written(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """Write a file with a secret."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def spoiled_maker(folder: Path) -> Callable[[], Any]:
    """Return a call of a maker whose file holds half of another key."""
    maker = LocalKeyMaker(folder)
    made = maker.make("ES256")
    written(folder / made.reference, SPOILED)
    key = SigningKey(
        kid=str(made.public.kid), alg="ES256", stage="active", jwk=made.public.as_dict(),
        reference=made.reference, published_at_s=1.0,
    )  # fmt: skip
    return lambda: maker.signer(key)


def vault() -> Any:
    """Ask a Vault that is away."""
    pytest.importorskip("hvac", reason="hvac absent: pip install 'rapidjws[vault]'")
    from rapidjws.signing.vault import VaultSigner

    return VaultSigner("http://127.0.0.1:1", "k", "ES256", token=CANARY)


def google() -> Any:
    """Ask a client that raises what it was given."""
    from rapidjws.signing.gcp_kms import GcpKmsSigner

    class Client:
        def get_public_key(self, **_: Any) -> Any:
            secret = CANARY
            raise ValueError(secret)

    return GcpKmsSigner("v", "ES256", client=Client())


def token() -> Any:
    """Ask for a token's maker in a library that is not there."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 absent: pip install 'rapidjws[pkcs11]'")
    return Pkcs11KeyMaker(LIBRARY, token_label="t", pin=CANARY)


CALLS: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "a file": lambda at: lambda: FileSigner(written(at / "k", SPOILED), alg="ES256"),
    "a file for another algorithm": lambda at: (
        lambda: FileSigner(written(at / "k", json.dumps(KEY)), alg="RS256")
    ),
    "a file that others read": lambda at: (
        lambda: FileSigner(written(at / "k", json.dumps(KEY), 0o644), alg="ES256")
    ),
    "octets": lambda at: lambda: private_key_from(SPOILED.encode()),
    "a JWK": lambda at: lambda: JWK.from_json(SPOILED, private=True),
    "the environment": lambda at: lambda: signer_from_environment("K", environment={"K": SPOILED}),
    "a passphrase": lambda at: lambda: private_key_from(PEM.encode(), passphrase=CANARY.encode()),
    "a secret that is not ASCII": lambda at: (
        lambda: secret_of(written(at / "k", CANARY.encode() + b"\xff"), "consumers.secret_file")
    ),
    "a folder of keys": spoiled_maker,
    "a token": lambda at: token,
    "a vault": lambda at: vault,
    "google": lambda at: google,
}


@pytest.mark.parametrize("name", CALLS)
def test_no_secret_is_in_an_error(name: str, tmp_path: Path) -> None:
    """Neither messages, causes, contexts nor the local variables of our frames hold it."""
    call = CALLS[name](tmp_path)
    with pytest.raises(RapidJWSError) as caught:
        call()
    whole = shown(caught.value)
    assert caught.value.code in whole
    for secret in (CANARY, str(KEY["d"])):
        assert secret not in whole
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_signer_that_is_half_made_can_be_shown() -> None:
    """A report that shows local variables does not fail at it."""
    for kind in (FileSigner, Pkcs11KeyMaker):
        assert kind.__name__ in repr(object.__new__(kind))
