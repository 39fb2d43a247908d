"""Misspelled members of a JWS JSON Serialization, and faults of a signature that is not the first."""

from __future__ import annotations

import json

import pytest
from broken_world import KINDS, b64, bank_keys, claims, dumps, header, sign

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.lenient import _one_edit
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier

VERIFIER = Verifier(JWKSet(bank_keys()), algorithms=KINDS)


def members() -> dict[str, str]:
    """Return a good flattened serialization."""
    first, second = b64(dumps(header("ES256"))), b64(dumps(claims()))
    third = b64(sign("ES256", f"{first}.{second}".encode()))
    return {"payload": second, "protected": first, "signature": third}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("payload", "paylod"), ("payload", "payloadd"), ("payload", "Payload"), ("payload", "apyload"),
        ("payload", "payloae"), ("protected", "protectd"), ("protected", "protecte"),
        ("signature", "signatur"), ("signature", "signaturex"), ("signature", "ignature"),
    ],
)  # fmt: skip
def test_B1_misspelled_member_of_a_flattened_serialization(name: str, written: str) -> None:
    """The member is named, not a missing body, header or signature."""
    made = members()
    report = diagnose(json.dumps({written if one == name else one: made[one] for one in made}), VERIFIER)
    assert report.probable_cause is not None
    assert report.probable_cause.id == "member_misspelled", report.causes
    assert repr(written) in report.probable_cause.evidence
    assert repr(name) in report.probable_cause.evidence
    assert report.probable_cause.is_proven


@pytest.mark.parametrize("written", ["signature", "signaturess", "signaturex", "Signatures", "signaturse"])
def test_B1_misspelled_signatures_of_a_general_serialization(written: str) -> None:
    """``signature`` with an array in it is a misspelled ``signatures``."""
    made = members()
    one = {"protected": made["protected"], "signature": made["signature"]}
    report = diagnose(json.dumps({"payload": made["payload"], written: [one]}), VERIFIER)
    assert report.probable_cause is not None
    assert report.probable_cause.id == "member_misspelled", report.causes


def test_B1_detached_serialization_is_not_misspelled() -> None:
    """Members that nothing is like are left alone: the payload is missing."""
    made = members()
    text = json.dumps({"protected": made["protected"], "signature": made["signature"], "pay": "x"})
    report = diagnose(text, VERIFIER)
    assert report.probable_cause is not None
    assert report.probable_cause.id == "detached_without_body"


@pytest.mark.parametrize(("damage", "cause"), [("=", "padding"), ("*", "foreign_character")])
def test_B1_fault_of_the_second_signature_is_looked_at(damage: str, cause: str) -> None:
    """Where the second signature is malformed, the second is diagnosed."""
    made = members()
    good = {"protected": made["protected"], "signature": made["signature"]}
    bad = {**good, "signature": good["signature"] + damage}
    report = diagnose(json.dumps({"payload": made["payload"], "signatures": [good, bad]}), VERIFIER)
    assert report.probable_cause is not None
    assert report.probable_cause.id == cause, report.causes


@pytest.mark.parametrize("cut", [4, 17, 19, 20, 21, 40, 60])
def test_B1_cut_signature_is_not_called_mistyped(cut: int) -> None:
    """However the last character that is left ends, what is missing is named first."""
    made = members()
    text = f"{made['protected']}.{made['payload']}.{made['signature'][:-cut]}"
    report = diagnose(text, VERIFIER)
    assert report.probable_cause is not None
    assert report.probable_cause.id in ("signature_cut_off", "cut_off"), report.causes


@pytest.mark.parametrize("text", ["", "pay", "payl", "payloadxy", "xxpayload", "daolyap", "header"])
def test_one_edit_is_one(text: str) -> None:
    """Two changed characters are another name."""
    assert not _one_edit(text, "payload")
