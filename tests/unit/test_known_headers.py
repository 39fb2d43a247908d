"""The short way of General JSON Serializations: what it accepts, the long way accepts, and nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import forms
import pytest

import rapidjws
from rapidjws.jws.known_headers import verify_known_headers

ONE, TWO = forms.signed(), forms.signed(name="k2")
GOOD = forms.general(ONE, TWO)
TEXT = json.dumps(GOOD)


@pytest.fixture(scope="module")
def warm() -> rapidjws.Verifier:
    """Return a verifier that knows the headers of both signatures."""
    verifier = forms.verifier(names=("k1", "k2"))
    assert verifier.verify(TEXT).payload == forms.PAYLOAD
    return verifier


def goes_short(verifier: rapidjws.Verifier, text: str | bytes) -> bool:
    """Say whether the short way accepts a text."""
    octets = text.encode() if isinstance(text, str) else text
    found = verify_known_headers(verifier._snapshot, octets, rapidjws.all_of(), 32)
    assert found is None or found.payload == forms.PAYLOAD
    return found is not None


def outcome(verifier: rapidjws.Verifier, octets: bytes) -> tuple[Any, ...]:
    """Return what a verifier says of a text."""
    try:
        found = verifier.verify(octets)
    except rapidjws.RapidJWSError as refused:
        return (refused.code, refused.place)
    return ("ok", found.payload, found.header, tuple((one.verdict, one.kid) for one in found.signatures))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        json.dumps(GOOD, indent=4),
        " \n\t" + TEXT + "\r\n ",
        json.dumps({"signatures": GOOD["signatures"], "payload": GOOD["payload"]}),
        json.dumps(forms.general({"signature": ONE["signature"], "protected": ONE["protected"]})),
    ],
)
def test_plain_texts_go_the_short_way(text: str, warm: rapidjws.Verifier) -> None:
    """White space and the order of members change nothing."""
    assert goes_short(warm, text)
    assert warm.verify(text).payload == forms.PAYLOAD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        TEXT[:-1],
        TEXT + "}",
        TEXT + TEXT,
        json.dumps({**GOOD, "x": 1}),
        json.dumps({"payload": GOOD["payload"]}),
        json.dumps({"payload": GOOD["payload"], "signature": GOOD["signatures"]}),
        json.dumps({**GOOD, "signatures": []}),
        json.dumps({**GOOD, "signatures": ONE}),
        json.dumps({**GOOD, "signatures": [[ONE["protected"], ONE["signature"]]]}),
        json.dumps({**GOOD, "signatures": [ONE, 7]}),
        json.dumps({**GOOD, "signatures": [ONE, {}]}),
        json.dumps({**GOOD, "payload": 7}),
        json.dumps({**GOOD, "payload": GOOD["payload"] + "="}),
        json.dumps(forms.general({**ONE, "header": {}})),
        json.dumps(forms.general({**ONE, "x": "y"})),
        json.dumps(forms.general({"protected": ONE["protected"]})),
        json.dumps(forms.general({"protected": ONE["protected"], "x": ONE["signature"]})),
        json.dumps(forms.general({"protected": ONE["protected"], "signature": None})),
        json.dumps(forms.general(forms.signed(protected={"alg": "ES256", "kid": "k1-es256", "typ": "JWT"}))),
        TEXT.replace("payload", "p\\u0061yload"),
        TEXT.replace('"protected"', '"protecte\\u0064"', 1),
        TEXT.replace(ONE["signature"], "\\u00" + f"{ord(ONE['signature'][0]):02x}" + ONE["signature"][1:]),
        TEXT.replace('"payload"', '"payload": "", "payload"'),
        TEXT.replace('"protected"', '"protected": "", "protected"', 1),
        json.dumps(forms.general(*[ONE] * 33)),
    ],
)
def test_what_is_not_plain_goes_the_long_way(text: str, warm: rapidjws.Verifier) -> None:
    """Anything more or less, an escape, an unknown header and too many signatures are left open."""
    assert not goes_short(warm, text)
    assert outcome(warm, text.encode()) == outcome(forms.verifier(names=("k1", "k2")), text.encode())


def test_a_bad_signature_is_left_open_wherever_it_stands(warm: rapidjws.Verifier) -> None:
    """One bad signature among good ones, a swapped header and another payload are not accepted."""
    many = [ONE, TWO] * 16
    assert goes_short(warm, json.dumps(forms.general(*many)))
    for at in range(32):
        bad = [*many]
        bad[at] = forms.spoiled(bad[at])
        assert not goes_short(warm, json.dumps(forms.general(*bad)))
    swapped = {"protected": TWO["protected"], "signature": ONE["signature"]}
    assert not goes_short(warm, json.dumps(forms.general(swapped)))
    assert not goes_short(warm, json.dumps(forms.general(ONE, payload=b"{}")))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_texts_get_the_verdict_of_the_long_way(seed: int) -> None:
    """A changed text is accepted or refused, with code and place, whether its headers are known or not."""
    source = random.Random(seed)
    warm = forms.verifier(names=("k1", "k2"))
    warm.verify(TEXT)
    pieces = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u0061", b" ", b"A", b"\xc3", b"0", b""]
    accepted = 0
    for _ in range(400):
        octets = json.dumps(GOOD, indent=source.choice((None, 1))).encode()
        for _ in range(source.choice((0, 1, 1, 2))):
            at, size = source.randrange(len(octets)), source.choice((0, 1, 1, 9))
            octets = octets[:at] + source.choice(pieces) + octets[at + size :]
        cold = forms.verifier(names=("k1", "k2"))
        expected = outcome(cold, octets)
        assert outcome(warm, octets) == expected
        accepted += expected[0] == "ok"
    assert 0 < accepted < 400
