"""A trail of ES256 decisions for the benchmarks of the audit trail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rapidjws import Engine, Issuer, JWKSet
from rapidjws.audit import ContentKeys, DecisionRecorder, NoteKey, TrailWriter
from rapidjws.audit.objects import store_object
from rapidjws.audit.records import RecordTemplate
from rapidjws.audit.side_content import packed, sealed_part
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

ORIGIN = "bench.example/audit"
ISS = "https://issuer.example"
DISTINCT = 2_000
GROUP = 20_000
FIRST_US = 1_790_000_000_000_000


class _Rows:
    """A sink that keeps what it is given."""

    durable = False

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.objects: dict[str, bytes] = {}

    def store(self, objects: Any) -> None:
        """Keep what digests name."""
        self.objects.update(objects)

    def take(self, row: Any) -> bool:
        """Keep a row."""
        self.rows.append(row)
        return True

    def take_durably(self, row: Any) -> None:
        """Take nothing."""

    def count_lost(self, why: str) -> None:
        """Count nothing."""


def tokens(count: int) -> tuple[Engine, list[str]]:
    """Return an engine and good tokens of its issuer at ``FIRST_US``."""
    key = make_key("ES256", kid="k1")
    engine = Engine(Issuer(ISS, keys=JWKSet([key.public()]), algorithms=["ES256"], audience="me"))
    signer = LocalSigner(key)
    claims = {"iss": ISS, "aud": "me", "scope": "payments:write accounts:read", "client_id": "c" * 36,
              "exp": FIRST_US // 10**6 + 3600}  # fmt: skip
    return engine, [
        sign_compact(json.dumps({**claims, "sub": f"user-{at}", "jti": f"{at:032x}"}).encode(), signer)
        for at in range(count)
    ]


def make_trail(folder: Path, records: int, keys: ContentKeys | None = None) -> NoteKey:
    """Write a trail of accepted tokens, with token, request, route and trace; return its key."""
    engine, texts = tokens(DISTINCT)
    sink = _Rows()
    recorder = DecisionRecorder(engine, sink)
    for text in texts:
        decision = engine.decide(text, now=FIRST_US / 1e6, partner="acme", route="/payments/{id}")
        assert decision.code == "ok", decision
        recorder.note(decision, text)
    signer = LocalSigner(make_key("EdDSA"))
    writer = TrailWriter(folder, origin=ORIGIN, signer=signer, durable=False)
    for name, octets in sink.objects.items():
        store_object(folder, name, octets)
    template = RecordTemplate(sink.rows[0][0].fields)
    beside = [packed(text.encode(), None) for text in texts]
    for start in range(0, records, GROUP):
        numbers = range(start, min(start + GROUP, records))
        entries = []
        for at in numbers:
            token = texts[at % DISTINCT].encode()
            ids = {"request": f"{at:032x}", "trace": f"{at * 7:032x}"}
            entries.append(template.record(FIRST_US + at * 100, token=token, route="/payments/{id}", **ids))
        contents = [beside[at % DISTINCT] for at in numbers]
        if keys is not None:
            times = [FIRST_US + at * 100 for at in numbers]
            contents = [
                sealed_part(keys.seal(one, time_us, "ok", None))
                for one, time_us in zip(contents, times, strict=True)
            ]
        writer.append(entries, contents)
        writer.publish()
    writer.close()
    return writer.key
