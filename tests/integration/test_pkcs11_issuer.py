"""An issuer whose keys are made in a PKCS#11 token at each rotation, against SoftHSM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from soft_hsm import LIBRARY, make_token

from rapidjws import RapidJWSError, Verifier
from rapidjws.config.issuing_file import load_issuing
from rapidjws.issuing import (
    ActiveSigner,
    KeyLifeCycle,
    KeyTiming,
    MemoryStateStore,
    Pkcs11KeyMaker,
    SigningKey,
)
from rapidjws.signing import sign_compact
from rapidjws.testing import FakeClock, make_key

PIN = "4711-canary"
CONFIG = f"""\
[issuing]
issuer = "https://issuer.example"
state_file = "state.json"
pkcs11_module = "{LIBRARY}"
pkcs11_token = "issuer"
pkcs11_pin_file = "hsm.pin"
pkcs11_sessions = 2
token_lifetime_s = 60
[queue]
depth = 10
[token]
lifetime_s = 60
[[clients]]
client_id = "a"
audiences = ["https://orders.example"]
keys_file = "client.jwks"
"""


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give python-pkcs11's library over a SoftHSM with one token."""
    with pytest.MonkeyPatch.context() as patch:
        yield make_token(patch, tmp_path_factory.mktemp("softhsm"), "issuer", PIN)


def maker() -> Pkcs11KeyMaker:
    """Return a maker in the token."""
    return Pkcs11KeyMaker(str(LIBRARY), token_label="issuer", pin=PIN, sessions=2)


def code_of(call: Any) -> str:
    """Return the code of the error that a call raises, after a search for the PIN in its chain."""
    with pytest.raises(RapidJWSError) as caught:
        call()
    fault: BaseException | None = caught.value
    while fault is not None:
        assert PIN not in f"{fault!r}{fault}"
        fault = fault.__cause__ or fault.__context__
    return caught.value.code


@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS256"])
def test_a_key_is_made_signs_and_is_destroyed(token: Any, alg: str) -> None:
    """A made key signs, cannot be read out, is not taken for another, and is gone when it is removed."""
    one = maker()
    assert PIN not in repr(one)
    made = one.make(alg)
    assert PIN not in made.reference
    key = SigningKey(kid=str(made.public.kid), alg=alg, stage="next", jwk=made.public.as_dict(),
                     reference=made.reference, published_at_s=1.0)  # fmt: skip
    assert key.kid == made.public.thumbprint()
    signed = sign_compact(b"{}", one.signer(key))
    assert Verifier(key.public(), algorithms=[alg]).verify(signed).payload == b"{}"
    flags: list[Any] = []

    def look(session: Any) -> None:
        found = session.get_key(label=made.reference, object_class=token.ObjectClass.PRIVATE_KEY)
        flags.extend((found[token.Attribute.SENSITIVE], found[token.Attribute.EXTRACTABLE]))

    one._in_session(look)
    assert flags == [True, False]
    other = SigningKey(kid=key.kid, alg=alg, stage="next", jwk=made.public.as_dict(),
                       reference=one.make(alg).reference, published_at_s=1.0)  # fmt: skip
    assert code_of(lambda: one.signer(other)) == "key_malformed"
    one.remove(key)
    one.remove(key)
    assert code_of(lambda: one.signer(key)) == "signer_refused"


@pytest.mark.usefixtures("token")
def test_what_is_wrong_has_its_code() -> None:
    """Another algorithm, no token, no library and a foreign label: each its error, without the PIN."""
    one = maker()
    assert code_of(lambda: one.make("EdDSA")) == "configuration_invalid"
    foreign = SigningKey(kid="k", alg="ES256", stage="removed", jwk=make_key("ES256").public().as_dict(),
                         reference="root", published_at_s=1.0)  # fmt: skip
    assert code_of(lambda: one.remove(foreign)) == "configuration_invalid"
    given: dict[str, Any] = {"token_label": "issuer", "pin": PIN}
    for change, code in (
        ({"token_label": "nowhere"}, "signer_unavailable"),
        ({"rsa_bits": 1024}, "configuration_invalid"),
        ({"sessions": 0}, "configuration_invalid"),
    ):
        assert code_of(lambda change=change: Pkcs11KeyMaker(str(LIBRARY), **{**given, **change})) == code
    assert code_of(lambda: Pkcs11KeyMaker("/nowhere.so", **given)) == "signer_unavailable"


@pytest.mark.usefixtures("token")
def test_an_issuer_of_a_file_rotates_in_the_token_and_queues(tmp_path: Path) -> None:
    """Tokens are signed in the token through a queue, keys rotate, and a removed one is destroyed."""
    path = tmp_path / "issuing.toml"
    path.write_text(CONFIG)
    pin = tmp_path / "hsm.pin"
    pin.touch(mode=0o600)
    pin.write_text(f"{PIN}\n")
    (tmp_path / "client.jwks").write_text(json.dumps(make_key("ES256", kid="c").public().as_dict()))
    clock = FakeClock()
    found = load_issuing(path, clock=clock)
    for _ in range(3):
        found.life_cycle.tick()
        clock.advance(found.life_cycle.timing.before_s)
    assert found.tokens is not None
    first = found.tokens.issue("a")
    old = found.life_cycle.signing_key()
    verifier = Verifier([one.public() for one in found.life_cycle.state().published()], algorithms=["ES256"])
    assert verifier.verify(first).header["kid"] == old.kid
    found.life_cycle.promote()
    second = found.tokens.issue("a")
    assert verifier.verify(second).header["kid"] != old.kid
    reading = found.metrics.reading()
    assert reading.total("rapidjws_signing_calls_total", backend="pkcs11", result="ok") == 2
    clock.advance(found.life_cycle.timing.after_s + 1)
    found.life_cycle.tick()
    assert found.life_cycle.state().key(old.kid).stage == "removed"
    assert code_of(lambda: found.maker.signer(old)) == "signer_refused"
    assert PIN not in (tmp_path / "state.json").read_text() + repr(found)


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('pkcs11_token = "issuer"\n', ""), "issuing.pkcs11_token"),
        (('pkcs11_pin_file = "hsm.pin"\n', ""), "issuing.pkcs11_pin_file"),
        (("hsm.pin", "readable.pin"), "issuing.pkcs11_pin_file"),
        ((f'pkcs11_module = "{LIBRARY}"\n', 'key_folder = "."\n'), "issuing.pkcs11_token"),
        (("[issuing]\n", '[issuing]\nkey_folder = "."\n'), "issuing"),
    ],
)
def test_slips_are_errors_at_the_start(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    """A missing setting, a PIN that others can read, two places for keys: each with its line."""
    for name, mode in (("hsm.pin", 0o600), ("readable.pin", 0o644)):
        (tmp_path / name).write_text(PIN)
        (tmp_path / name).chmod(mode)
    path = tmp_path / "issuing.toml"
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(RapidJWSError) as refused:
        load_issuing(path)
    assert refused.value.code == "configuration_invalid"
    assert place in str(refused.value)


@pytest.mark.usefixtures("token")
def test_a_key_that_was_replaced_gives_its_sessions_back() -> None:
    """A device has sessions for the keys that sign now: those of the key before are ended."""
    clock, keys_maker = FakeClock(), maker()
    keys = KeyLifeCycle(MemoryStateStore(), KeyTiming(), keys_maker, clock=clock)
    active = ActiveSigner(keys, keys_maker)
    keys.tick()
    clock.advance(keys.timing.before_s)
    keys.tick()
    first: Any = active.signer()
    first.sign(b"a.b")
    clock.advance(keys.timing.before_s)
    keys.promote()
    active.signer().sign(b"a.b")
    assert all(one is None for one in first._free.queue)
    first.sign(b"a.b")  # of a request that was on its way
