"""Invariant 14: the repr of no value shows a token, a header, a body, a key or a secret."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import rapidjws
from rapidjws.contract import samples
from rapidjws.diagnose.decode import decode
from rapidjws.diagnose.lenient import read
from rapidjws.jws.parsed_jws import parse_compact
from rapidjws.keys.fetch import Answer
from rapidjws.middleware.requests import RequestContext
from rapidjws.testing.web import Request

CANARY = "eyJhbGciOiJFUzI1NiJ9.eyJjYW5hcnkiOjF9.Y2FuYXJ5"

HOLDS = re.compile(
    r"(^|_)(tokens?|secrets?|passw\w*|headers?|values|query|body|octets|signature|payload|raw|rest"
    r"|material|credentials?|pem|private|cookies?|claims|text)$"
)
"""Names of fields that may hold what a stranger sent or what nobody may see."""

SHOWN = {
    "Columns.values": "counts",
    "Text.text": "of this project: a message, a template, a rule",
    "signature_header": "the name of a header",
    "header": "the name of a header",
    "cookie": "the name of a cookie",
    "partner_header": "the name of a header",
    "method_header": "the name of a header",
    "host_header": "the name of a header",
    "route_headers": "the names of headers",
    "LoadedConfig.signature": "a file's size and times",
    "LoadedConfig.text": "a Text, which shows its name",
    "Fetched.headers": "a JWK Set's, which is public",
    "Fetched.body": "a JWK Set, which is public",
    "Document.headers": "a JWK Set's, which is public",
    "Document.body": "a JWK Set, which is public",
    "Reading.bodies": "a JWK Set and metadata, which are public",
    "LastGood.body": "a JWK Set, which is public",
    "WitnessKey.public": "a public key",
    "Report.token": "left out but for what cannot be replayed, unless it was asked for",
    "ReportValues.token": "left out but for what cannot be replayed, unless it was asked for",
    "Answer.headers": "of a refusal of ours",
    "Answer.body": "of a refusal of ours",
    "Fault.headers": "what a test gives its own server",
    "Fault.body": "what a test gives its own server",
    "Signature.header": "an unprotected header that the caller chose",
    "Skew.tokens": "a count",
    "KnownHeader.header": "of a good signature, by which keys are chosen",
    "required_claims": "names of claims",
    "shown_claims": "names of claims",
    "show_claims": "names of claims",
    "Issuer.claims": "rules of the configuration",
    "_Profile.claims": "rules of ours",
    "IssuerTemplate.text": "of the configuration",
    "Automaton.classes": "a pattern of the configuration",
    "Automaton.accepting": "a pattern of the configuration",
    "LogSettings.claims": "names of claims",
    "ServerSettings.body": "settings, of names and paths",
    "BodySettings.signature_headers": "names of headers",
    "BodySettings.required_headers": "names of headers",
    "BodySettings.digest_claim": "the name of a claim",
    "BodySettings.payload": "a word of the configuration",
    "BodySettings.payload_names_in": "the name of a header parameter",
    "Seen.body": "a JWK Set, which is public",
    "FoundKeys.body": "a JWK Set, which is public",
    "BodySettings.empty_body": "a switch",
    "ServerSettings.claim_headers": "names of claims and headers",
    "Row.claims": "names of claims, and counts",
    "PartnerReadiness.claims": "names of claims, and counts",
    "AuditSettings.claims": "names of claims",
    "Checkpoint.root": "a digest, which is published",
    "Publication.root": "a digest, which is published",
    "InclusionProof.path": "digests, which are published",
    "InclusionProof.checkpoint": "a signed note, which is published",
    "SparkVerifier.token": "the name of a column",
    "SparkVerifier.claims": "names of claims and their kinds",
}
"""Fields that a repr shows, and why it may."""

OWN_TEXTS = (
    "rapidjws._native.policies",
    "rapidjws.contract.routine",
    "rapidjws.contract.schema",
    "rapidjws.diagnose.",
    "rapidjws.issuing.",
    "rapidjws.jose.lint",
    "rapidjws.observe.",
    "rapidjws.rollout.report.",
)
"""Where a ``text`` is a sentence of ours, and octets are rules of the configuration."""


def classes() -> Iterator[type[Any]]:
    """Yield every class of the package whose optional dependencies are there."""
    for info in pkgutil.walk_packages(rapidjws.__path__, "rapidjws."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # an extra that is not installed
            continue
        for one in vars(module).values():
            if isinstance(one, type) and one.__module__ == info.name:
                yield one


def shown_fields(one: type[Any]) -> list[str]:
    """Return the fields that the generated repr of a class shows."""
    written = getattr(one.__repr__, "__code__", None)
    is_generated = written is None or written.co_filename.endswith(("__init__.py", "reprlib.py"))
    if dataclasses.is_dataclass(one):
        made = one.__dataclass_params__.repr and "__wrapped__" in vars(one.__repr__)
        return [field.name for field in dataclasses.fields(one) if field.repr] if made else []
    return list(getattr(one, "_fields", ())) if issubclass(one, tuple) and is_generated else []


def test_invariant_14_no_generated_repr_shows_what_could_be_replayed() -> None:
    """Fields with octets, or named like what requests and keys hold, stay out, but for those listed."""
    found = []
    for one in {*classes()}:
        types = {
            name: str(kind)
            for cls in one.__mro__
            for name, kind in vars(cls).get("__annotations__", {}).items()
        }
        for name in shown_fields(one):
            holds = HOLDS.search(name) or re.search(r"\bbytes\b", types.get(name, ""))
            own = (name == "text" or "policies" in one.__module__) and one.__module__.startswith(OWN_TEXTS)
            if holds and not own and f"{one.__name__}.{name}" not in SHOWN and name not in SHOWN:
                found.append(f"{one.__module__}.{one.__qualname__}.{name}: {types.get(name)}")
    assert sorted(found) == []


@pytest.mark.parametrize(
    "value",
    [
        RequestContext([CANARY.encode()], f"access_token={CANARY}".encode(), "a", "/x"),
        parse_compact(CANARY.encode()),
        read(CANARY),
        samples.Sample(name="a", token=CANARY, expect="refused", why="b"),
        Answer(status=200, headers={"set-cookie": CANARY}, body=CANARY.encode()),
        Request(at_s=1.0, line=f"GET /?access_token={CANARY}", headers={"authorization": CANARY}),
        decode(CANARY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_invariant_14_a_repr_shows_no_part_of_a_token(value: object) -> None:
    """Neither repr nor str nor format of a value that holds a token shows one of its parts."""
    for shown in (repr(value), str(value), f"{value}", f"{[value]}"):
        for part in (*CANARY.split("."), "canary"):
            assert part not in shown
