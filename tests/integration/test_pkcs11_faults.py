"""What a PKCS#11 token does to signers that are at work: it goes and comes back, its slots and PIN change."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from soft_hsm import LIBRARY, make_token, started_anew

from rapidjws import RapidJWSError
from rapidjws.issuing.pkcs11_key_maker import Pkcs11KeyMaker
from rapidjws.signing.pkcs11 import Pkcs11Signer
from rapidjws.signing.pkcs11_library import library_of

PIN = "canary-4711"
LABEL = "ES256"


def made_token(label: str, pin: str = PIN) -> None:
    """Make a further token."""
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678"]
    subprocess.run([*command, "--pin", pin], check=True, capture_output=True)


def made_key(pkcs11: Any, token: str, **private: Any) -> None:
    """Make a key pair in a token, of a label that may be there already."""
    from pkcs11.util.ec import encode_named_curve_parameters

    library = pkcs11.lib(str(LIBRARY))
    with library.get_token(token_label=token).open(user_pin=PIN, rw=True) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        template = {getattr(pkcs11.Attribute, name): value for name, value in private.items()}
        domain.generate_keypair(label=LABEL, store=True, private_template=template)


class Token:
    """A token of SoftHSM with one key, and the folder that it lies in."""

    def __init__(self, pkcs11: Any, folder: Path) -> None:
        self.pkcs11 = pkcs11
        self.folder = folder / "tokens"
        self.driver = library_of(pkcs11, str(LIBRARY))
        made_key(pkcs11, "walk")

    def signer(self, token: str = "walk", pin: str = PIN, **settings: Any) -> Pkcs11Signer:
        """Return a signer by its key."""
        given = {"token_label": token, "key_label": LABEL, "pin": pin, "alg": "ES256", **settings}
        return Pkcs11Signer(str(LIBRARY), **given)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """Give a token of its own to a test."""
    return Token(make_token(monkeypatch, tmp_path, "walk", PIN), tmp_path)


class Load:
    """Threads that sign, and what became of each call."""

    def __init__(self, signer: Pkcs11Signer, threads: int = 6) -> None:
        self.found: Counter[str] = Counter()
        self._signer = signer
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go) for _ in range(threads)]

    def _go(self) -> None:
        while not self._over.is_set():
            try:
                self._signer.sign(b"a.b")
                word = "ok"
            except RapidJWSError as refused:
                word = refused.code
            except BaseException as fault:
                word = repr(fault)
            self.found[word] += 1
            self._over.wait(0.001)

    def until(self, more: int, *words: str) -> None:
        """Wait until so many more calls ended by one of these words."""
        before, end_s = sum(self.found[one] for one in words), time.monotonic() + 60
        while sum(self.found[one] for one in words) < before + more:
            assert time.monotonic() < end_s, self.found
            time.sleep(0.01)


@contextmanager
def load(signer: Pkcs11Signer) -> Iterator[Load]:
    """Keep signing; every call must end by a signature or by a code."""
    made = Load(signer)
    for one in made._threads:
        one.start()
    try:
        made.until(50, "ok")
        yield made
        made.until(50, "ok")
    finally:
        made._over.set()
        for one in made._threads:
            one.join(60)
    assert set(made.found) <= {"ok", "signer_unavailable", "signer_refused"}, made.found


def code_and_word(call: Callable[[], Any]) -> tuple[str, str | None]:
    """Return the code of a refusal, and what it shows."""
    with pytest.raises(RapidJWSError) as caught:
        call()
    return caught.value.code, caught.value.actual


def test_a_token_is_taken_away_and_comes_back_under_load(token: Token) -> None:
    """While it is away each call is an outage; once it is back the same signer signs, by itself."""
    with load(token.signer()) as at_work:
        for _ in range(3):
            gone = token.folder.with_name("gone")
            token.folder.rename(gone)
            at_work.until(20, "signer_unavailable")
            gone.rename(token.folder)
            at_work.until(50, "ok")


def test_a_library_is_started_again_under_load(token: Token) -> None:
    """Whoever starts the library again ends sessions, and neither the process nor a signature."""
    with load(token.signer()) as at_work:
        for _ in range(10):
            token.driver._restarted_s = float("-inf")
            assert token.driver.restart(token.driver.generation)
            at_work.until(5, "ok")
    assert set(at_work.found) == {"ok"}


def test_slots_change_under_load(token: Token) -> None:
    """A token that was added is found, and the one at work goes on under another slot."""
    with load(token.signer()) as at_work:
        for number in range(2):
            made_token(f"walk{number}")
            token.driver._restarted_s = float("-inf")
            assert code_and_word(lambda label=f"walk{number}": token.signer(label)) == (  # type: ignore[misc]
                "signer_refused",
                "NoSuchKey",
            )
            at_work.until(50, "ok")
    assert set(at_work.found) == {"ok"}


def test_keys_are_made_under_load(token: Token) -> None:
    """The session that makes a key ends without the login of all others."""
    maker = Pkcs11KeyMaker(str(LIBRARY), token_label="walk", pin=PIN)
    with load(token.signer()) as at_work:
        for _ in range(5):
            maker.make("ES256")
    assert set(at_work.found) == {"ok"}


class Logins:
    """The functions of a library, whose logins are counted."""

    def __init__(self, real: Any) -> None:
        self._real, self.count = real, 0

    def __getattr__(self, name: str) -> Any:
        """Return a function."""
        self.count += name == "C_Login"
        return getattr(self._real, name)


def test_a_wrong_pin_is_shown_to_the_token_once(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few wrong ones lock a token: the same PIN is refused by memory, another one is tried."""
    started_anew()
    logins = Logins(token.driver._functions)
    monkeypatch.setattr(token.driver, "_functions", logins)
    for _ in range(5):
        assert code_and_word(lambda: token.signer(pin="wrong-1")) == ("signer_refused", "PinIncorrect")
    assert logins.count == 1
    token.signer().sign(b"a.b")


def test_a_pin_that_is_changed_at_the_token_is_shown_once(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signer whose PIN is not that of the token any more says so at each call, and locks nothing."""
    signer = token.signer()
    other = token.pkcs11.lib(str(LIBRARY)).get_token(token_label="walk").open(rw=True)
    other.set_pin(PIN, "4712-canary")
    other.close()
    signer.sign(b"a.b")  # it is logged in
    started_anew()
    logins = Logins(token.driver._functions)
    monkeypatch.setattr(token.driver, "_functions", logins)
    for _ in range(5):
        assert code_and_word(lambda: signer.sign(b"a.b")) == ("signer_refused", "PinIncorrect")
    assert logins.count == 1
    token.signer(pin="4712-canary").sign(b"a.b")


def test_a_token_with_fewer_sessions_than_the_pool(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that is larger than the token allows goes on with what it gets."""
    real, given = token.driver.open, []

    def few(*arguments: Any, **named: Any) -> Any:
        if len(given) >= 2:
            raise token.pkcs11.exceptions.SessionCount
        given.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(token.driver, "open", few)
    generation = token.driver.generation
    with load(token.signer(sessions=6)) as at_work:
        at_work.until(100, "ok")
    assert set(at_work.found) == {"ok"}
    assert token.driver.generation == generation  # a restart would end the sessions that there are


def test_sessions_that_are_closed_are_opened_anew(token: Token) -> None:
    """A signer that is not used any more gives its sessions back, and takes new ones when it is."""
    signer = token.signer(sessions=2)
    handle = signer._free.queue[-1].session.handle  # type: ignore[union-attr]
    signer.close()
    assert list(signer._free.queue) == [None, None]
    signer.sign(b"a.b")
    assert signer._free.queue[-1].session.handle != handle  # type: ignore[union-attr]


def test_a_key_that_may_not_sign_is_refused_at_the_start(token: Token) -> None:
    """Not by the first signature."""
    made_token("other")
    started_anew()
    made_key(token.pkcs11, "other", SIGN=False)
    assert code_and_word(lambda: token.signer("other")) == ("signer_refused", "KeyFunctionNotPermitted")


def test_a_label_that_comes_twice_is_refused(token: Token) -> None:
    """Neither one of two keys nor one of two tokens is taken."""
    made_key(token.pkcs11, "walk")
    assert code_and_word(token.signer) == ("signer_refused", "MultipleObjectsReturned")
    made_token("walk")
    started_anew()
    assert code_and_word(token.signer) == ("signer_refused", "MultipleTokensReturned")
