"""Round trips: every algorithm, every serialization, detached or not, encoded or not, any payload."""

from __future__ import annotations

import functools
import json
from typing import Any

import forms
import pytest
import tokens
from hypothesis import given, settings
from hypothesis import strategies as st

import rapidjws
from rapidjws.signing import LocalSigner, Signature, sign_compact, sign_flattened, sign_general

ALGS = (*tokens.SIGNABLE, *(name for name in rapidjws.ALGORITHMS if name.startswith("ML-DSA")))


def usable(alg: str) -> str:
    """Return the algorithm, or skip where no backend has it."""
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    return alg


def signed(form: str, payload: bytes, signer: LocalSigner, detached: bool, b64: bool) -> Any:
    """Return a token of this form."""
    if form == "compact":
        return sign_compact(payload, signer, detached=detached, b64=b64)
    if form == "flattened":
        return json.dumps(sign_flattened(payload, signer, detached=detached, b64=b64))
    return json.dumps(sign_general(payload, [Signature(signer=signer)] * 2, detached=detached, b64=b64))


def shown_as(form: str, payload: bytes, detached: bool, b64: bool) -> bytes:
    """Return a payload that can stand in this form."""
    if b64 or detached:
        return payload
    text = payload.decode("latin-1")
    if form == "compact":
        text = "".join(character for character in text if " " <= character <= "~" and character != ".")
    return text.encode()


@pytest.mark.parametrize("alg", ALGS)
@pytest.mark.parametrize("form", ["compact", "flattened", "general"])
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("b64", [True, False])
def test_round_trip(alg: str, form: str, detached: bool, b64: bool) -> None:
    """What is signed verifies and comes back byte for byte; another payload under it does not."""
    key = tokens.key(usable(alg))
    verifier = rapidjws.Verifier(key.public(), algorithms=[alg], crit=["b64"])
    signer = LocalSigner(key, alg)

    @settings(max_examples=6)
    @given(payload=st.binary(max_size=300), cut=st.integers(0, 300))
    def holds(payload: bytes, cut: int) -> None:
        payload = shown_as(form, payload, detached, b64)
        token = signed(form, payload, signer, detached, b64)
        if not detached:
            assert verifier.verify(token).payload == payload
            return
        assert verifier.verify(token, payload=payload).payload == payload
        verifier.verify_detached(token, [payload[:cut], payload[cut:]])
        with pytest.raises(rapidjws.SignatureInvalid):
            verifier.verify(token, payload=payload + b"\0")
        with pytest.raises(rapidjws.SignatureInvalid):
            verifier.verify_detached(token, [b"\0", payload])

    holds()


@settings(max_examples=60)
@given(
    good=st.lists(st.booleans(), min_size=1, max_size=6),
    need=st.integers(1, 6),
    wanted=st.sets(st.integers(0, 5), min_size=1),
)
def test_policies_equal_their_definition(good: list[bool], need: int, wanted: set[int]) -> None:
    """Each policy accepts exactly where its plain definition over the good signers does."""
    names = [f"k{number}" for number in range(1, 7)]
    verifier = forms.verifier(names=names)
    made = [_signature(name) for name in names[: len(good)]]
    token = forms.general(
        *[one if fine else forms.spoiled(one) for one, fine in zip(made, good, strict=True)]
    )
    kids = {f"{names[number]}-es256" for number in wanted}
    there = {f"{name}-es256" for name, fine in zip(names, good, strict=False) if fine}
    for policy, due in (
        (rapidjws.all_of(), all(good)),
        (rapidjws.any_of(), any(good)),
        (rapidjws.at_least(need), sum(good) >= need),
        (rapidjws.signers(kids), kids <= there),
    ):
        assert (forms.outcome(verifier, token, signatures=policy) == "ok") is due


@functools.cache
def _signature(name: str) -> dict[str, Any]:
    return forms.signed(name=name)
