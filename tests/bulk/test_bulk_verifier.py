"""Tokens in Arrow columns: the verdicts of Engine.verify, token for token, in every layout."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import mutations
import polars
import pyarrow as pa
import pytest
import tokens
from tokens import ISS, NOW_S

import rapidjws
from rapidjws import Engine, Verifier
from rapidjws.bulk import BulkVerifier
from rapidjws.bulk import verifier as module

MIXED = ("ES256", "RS256", "EdDSA", "PS256", "ES384")


def verdict_of(engine: Engine, token: Any, now: float = NOW_S) -> tuple[str, str]:
    """Return what Engine.verify says of a token."""
    try:
        engine.verify(token, now)
    except rapidjws.RapidJWSError as refused:
        return refused.outcome, refused.code
    return "permit", "ok"


def found_in(batch: Any) -> list[tuple[str, str]]:
    """Return the verdicts of a batch that was verified."""
    pairs = zip(batch.column("verdict").to_pylist(), batch.column("code").to_pylist(), strict=True)
    return list(pairs)


def verified(verifier: BulkVerifier, batch: Any) -> Any:
    """Return what comes of a batch, asked twice: the first time no header is known, then the core decides."""
    first = verifier.verify_batch(batch)
    again = verifier.verify_batch(batch)
    assert again.equals(first)
    return again


def batch_of(values: Any, kind: Any = None) -> Any:
    """Return a batch with these tokens."""
    return pa.record_batch({"token": values if kind is None else pa.array(values, kind)})


def hostile(chance: random.Random, count: int) -> list[bytes]:
    """Return good tokens among those that a stranger changed, and some that never were any."""
    good = [tokens.token(alg, jti=str(number)).encode() for number, alg in enumerate(MIXED)]
    good += [tokens.token(alg, "stranger").encode() for alg in MIXED[:2]]
    good += [tokens.token(exp=NOW_S - 4000).encode(), tokens.token(nbf=NOW_S + 4000).encode(),
             tokens.token(aud="elsewhere").encode(), tokens.token(exp=NOW_S + 300.5).encode(),
             tokens.token(iss="https://other.example").encode()]  # fmt: skip
    made = [b"", b".", b"..", b"a.b.c", b"\xff\xfe.x.y", b"{}", b"x" * 70_000]
    changes = mutations.EVERY
    while len(made) < count:
        token = chance.choice(good)
        if chance.random() < 0.5:
            changed = chance.choice(changes)(chance, token, good)
            token = token if changed is None else changed
        made.append(token)
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("workers", [1, 3])
def test_verdicts_are_those_of_engine_verify(workers: int) -> None:
    """Random and hostile tokens get from a column what Engine.verify says of each, at the same place."""
    engine = tokens.engine(*MIXED)
    made = hostile(random.Random(18 + workers), 600)
    expected = [verdict_of(tokens.engine(*MIXED) if n < 20 else engine, one) for n, one in enumerate(made)]
    fresh = BulkVerifier(tokens.engine(*MIXED), now=NOW_S, workers=workers)
    for verifier in (fresh, BulkVerifier(engine, now=NOW_S, workers=workers)):
        assert found_in(verifier.verify_batch(batch_of(made, pa.binary()))) == expected
    assert {outcome for outcome, _ in expected} >= {"permit", "deny"}
    assert len({code for _, code in expected}) >= 8


TEXT = [tokens.token(sub=f"user-{number}") for number in range(5)]
LAYOUTS = {
    "string": pa.array(TEXT),
    "large_string": pa.array(TEXT, pa.large_string()),
    "binary": pa.array([one.encode() for one in TEXT], pa.binary()),
    "large_binary": pa.array([one.encode() for one in TEXT], pa.large_binary()),
    "string_view": pa.array(TEXT, pa.string_view()),
    "binary_view": pa.array([one.encode() for one in TEXT], pa.binary_view()),
    "dictionary": pa.array(TEXT).dictionary_encode(),
    "polars": pa.array(polars.Series(TEXT).to_arrow()),
    "sliced": pa.array(["x", None, *TEXT, "y"]).slice(2, 5),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_column(layout: str) -> None:
    """A column gives the same verdicts and claims whatever layout Arrow has for it, sliced ones too."""
    engine = tokens.engine()
    verifier = BulkVerifier(engine, now=NOW_S, claims={"sub": "string"}, workers=1)
    out = verified(verifier, batch_of(LAYOUTS[layout]))
    assert found_in(out) == [("permit", "ok")] * 5
    assert out.column("sub").to_pylist() == [f"user-{number}" for number in range(5)]


def test_the_octets_of_a_column_are_read_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches the core is the column's own memory."""
    given: list[Any] = []
    real = module.columns.verify_column
    monkeypatch.setattr(
        module.columns, "verify_column", lambda s, c, *rest: (given.append(c), real(s, c, *rest))[1]
    )
    column = pa.array(TEXT)
    BulkVerifier(tokens.engine(), now=NOW_S, workers=1).verify_batch(batch_of(column))
    assert [one.data.address for one in given] == [column.buffers()[2].address]


def test_a_null_is_refused_whatever_lies_below_it() -> None:
    """A null is no token, also where the memory below it holds a good one."""
    column = pa.array(TEXT)
    _, offsets, data = column.buffers()
    masked = pa.Array.from_buffers(pa.string(), 5, [pa.py_buffer(bytes([0b10101])), offsets, data])
    out = verified(BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"}), batch_of(masked))
    refused = verdict_of(tokens.engine(), None)
    assert refused[1] == "malformed_token"
    assert found_in(out) == [("permit", "ok"), refused, ("permit", "ok"), refused, ("permit", "ok")]
    assert out.column("sub").to_pylist()[1] is None


def test_offsets_that_lead_out_of_the_data() -> None:
    """Offsets past the data, or back to front, are refused and nothing outside is read."""
    good = TEXT[0].encode()
    offsets = b"".join(at.to_bytes(4, "little", signed=True) for at in (0, len(good), 5, 2**31 - 1, -4))
    engine = tokens.engine()
    engine.verify(good, NOW_S)
    snapshot = engine._snapshot
    verdicts = memoryview(bytearray(32)).cast("Q")
    cells = rapidjws._native.TokenColumn(good, offsets, 4, 0, 4)
    rapidjws._native.verify_column(snapshot.native, cells, verdicts, (), NOW_S * 10**9)
    assert [one & 0xFF == rapidjws._native.OK for one in verdicts] == [True, False, False, False]


def test_a_part_that_fails_is_refused_and_moves_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the work on some rows fails or comes back short, these rows are refused and no other is moved."""
    monkeypatch.setattr(module, "CHUNK_ROWS", 64)
    made = [tokens.token(sub=str(number)) for number in range(4)] * 48
    real = BulkVerifier._chunk

    def failing(self: Any, work: Any, start: int, end: int) -> Any:
        if start == 64:
            raise MemoryError
        codes, claims = real(self, work, start, end)
        return (codes[1:], claims) if start == 128 else (codes, claims)

    monkeypatch.setattr(BulkVerifier, "_chunk", failing)
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"}, workers=1)
    out = verified(verifier, batch_of(made))
    found = found_in(out)
    assert found[:64] == [("permit", "ok")] * 64
    assert found[64:] == [("indeterminate", "internal_error")] * 128
    assert out.column("sub").to_pylist()[64:] == [None] * 128


VALUES: dict[str, list[Any]] = {
    "string": ["plain", 'quo"ted', "sch\u00f6n", "\u0000", "", 7, None, ["a"]],
    "int64": [0, -5, 2**53 + 1, 10**17, 2**63 - 1, 2**63, 1.0, 1.5, "1", True, None],
    "float64": [0, -1.5, 1e300, 2**70, "x", False],
    "bool": [True, False, 1, "true", None],
    "timestamp": [NOW_S, 0.5, 10**17, -1, "2020-01-01"],
    "json": [{"a": [1, "\u00e9"]}, "text", 5, 1.5, True, None, [], 2**80],
}


def expected_claim(kind: str, value: Any) -> Any:
    """Return what a column of this kind holds for a value, by the plainest means."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "json":
        return value
    if not number:
        return None
    if kind == "float64":
        return float(value)
    if kind == "timestamp":
        return round(value * 10**6) if -62135596800 <= value <= 253402300799 else None
    return int(value) if value == int(value) and -(2**63) <= value < 2**63 else None


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_claims_are_typed_columns(kind: str, ascii_only: bool) -> None:
    """A claim's column has the value where it is of the kind, and null elsewhere, escaped or not."""
    made = []
    for value in VALUES[kind]:
        claims = {**tokens.claims(), "it": value}
        octets = json.dumps(claims, ensure_ascii=ascii_only).encode()
        made.append(tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": "k1-es256"}, octets))
    made.append(tokens.token())
    out = verified(BulkVerifier(tokens.engine(), now=NOW_S, claims={"it": kind}), batch_of(made))
    assert found_in(out) == [("permit", "ok")] * len(made)
    column = out.column("it")
    found = column.cast(pa.int64()).to_pylist() if kind == "timestamp" else column.to_pylist()
    if kind == "json":
        found = [None if one is None else json.loads(one) for one in found]
    assert found == [*(expected_claim(kind, value) for value in VALUES[kind]), None]


def test_a_name_with_an_escape_is_the_same_name() -> None:
    """A claim whose name is written with an escape is found as well."""
    octets = json.dumps(tokens.claims()).replace('"sub"', '"s\\u0075b"').encode()
    made = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": "k1-es256"}, octets)
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"})
    out = verified(verifier, batch_of([made] * 3))
    assert out.column("sub").to_pylist() == ["user-1"] * 3


JSON_TEXTS = [
    "1E+2",
    "-0",
    "1.50",
    "9" * 300,
    '"sch\\u00f6n"',
    '{"a" : [ 1,{"it":2} ], "b":"}\\""}',
    "[ ]",
    "null",
]


@pytest.mark.parametrize("name", ['"it"', '"\\u0069t"'], ids=["plain", "escaped"])
@pytest.mark.parametrize("is_revocable", [False, True])
def test_json_is_the_text_that_was_signed(name: str, is_revocable: bool) -> None:
    """A claim's JSON is the signed text, whether the core copied it or Python completed the row."""
    engine = tokens.engine()
    if is_revocable:
        engine.revoke(jti="r", issuer=ISS)
    made = []
    for text in JSON_TEXTS:
        octets = json.dumps(tokens.claims(other={"it": 7}))[1:-1]
        for payload in (f"{{ {octets} , {name}\t:\n{text} }}", f"{{{name}:{text},{octets}}}"):
            made.append(
                tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": "k1-es256"}, payload.encode())
            )
    made.append(tokens.token(jti="g"))
    out = verified(BulkVerifier(engine, now=NOW_S, claims={"it": "json"}), batch_of(made))
    assert found_in(out) == [("permit", "ok")] * len(made)
    expected = [None if text == "null" else text for text in JSON_TEXTS for _ in range(2)]
    assert out.column("it").to_pylist() == [*expected, None]


def test_a_refused_token_gives_no_claims() -> None:
    """Claims of a token that is refused after its signature, by its date or a revocation, are null."""
    late, revoked, good = tokens.token(exp=NOW_S - 4000), tokens.token(jti="r"), tokens.token(jti="g")
    engine = tokens.engine()
    engine.revoke(jti="r", issuer=ISS)
    verifier = BulkVerifier(engine, now=NOW_S, claims={"sub": "string"})
    out = verified(verifier, batch_of([late, revoked, good]))
    assert [code for _, code in found_in(out)] == ["expired", "revoked", "ok"]
    assert out.column("sub").to_pylist() == [None, None, "user-1"]


@pytest.mark.parametrize(
    "kind", ["timestamp[s]", "timestamp[ms]", "timestamp[ns]", "int64", "double", "int32"]
)
def test_each_row_is_checked_at_its_own_time(kind: str) -> None:
    """A column of times decides by row; a null stands for now, and what is no time is never a permit."""
    engine = tokens.engine()
    token = tokens.token(exp=NOW_S + 300)
    moments: list[Any] = [NOW_S, NOW_S + 4000, None, NOW_S - 4000, -1]
    kinds = {"double": pa.float64(), "int64": pa.int64(), "int32": pa.int32()}
    if kind == "int32":
        moments = [min(one or 0, 2**31 - 1) if one else one for one in moments]
    if kind.startswith("timestamp"):
        unit = kind[10:-1]
        column = pa.array(moments, pa.timestamp("s")).cast(pa.timestamp(unit))
    else:
        column = pa.array(moments, kinds[kind])
    without_begin = tokens.token(iat=None)  # good at any time before its end, from 1970 on
    assert verdict_of(engine, without_begin, 0) == ("permit", "ok")
    batch = pa.record_batch({"token": pa.array([token] * 4 + [without_begin]), "at": column})
    out = verified(BulkVerifier(engine, time="at", now=NOW_S), batch)
    expected = [verdict_of(engine, token, NOW_S if one is None else one) for one in moments[:4]]
    assert found_in(out)[:4] == expected
    assert found_in(out)[4] == ("indeterminate", "clock_implausible")
    assert out.schema.names == ["at", "verdict", "code"]


def test_the_times_of_later_parts_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's time stays its own where a batch goes to the core in parts."""
    monkeypatch.setattr(module, "CHUNK_ROWS", 64)
    engine, token = tokens.engine(), tokens.token()
    times = [NOW_S] * 64 + [NOW_S + 4000] * 64 + [NOW_S]
    batch = pa.record_batch({"token": [token] * len(times), "at": times})
    out = verified(BulkVerifier(engine, time="at", workers=1), batch)
    good, late = verdict_of(engine, token), verdict_of(engine, token, NOW_S + 4000)
    assert found_in(out) == [good] * 64 + [late] * 64 + [good]
    assert (good[0], late[0]) == ("permit", "deny")


def test_a_row_that_nobody_decided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a row that the core left open is forgotten, it reads as refused."""
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"}, workers=1)
    monkeypatch.setattr(module.pc, "indices_nonzero", lambda found: pa.array([], pa.uint64()))
    out = verifier.verify_batch(batch_of([TEXT[0], "x"]))
    assert found_in(out) == [("indeterminate", "internal_error")] * 2
    assert out.column("sub").to_pylist() == [None, None]


def test_a_fraction_of_a_second_is_not_rounded() -> None:
    """A floating time is read as Engine.verify reads it, to the nanosecond."""
    engine = tokens.engine(leeway_s=0)
    token = tokens.token(exp=NOW_S + 1)
    times = [NOW_S + 0.9999997, NOW_S + 1.0, NOW_S + 1.0000002]
    batch = pa.record_batch({"token": pa.array([token] * 3), "at": pa.array(times)})
    out = verified(BulkVerifier(engine, time="at"), batch)
    assert found_in(out) == [verdict_of(engine, token, one) for one in times]


def test_payloads_beside_the_tokens() -> None:
    """A detached payload is put in; one beside a token that has its own, or another's, is refused."""
    engine = tokens.engine()
    whole = tokens.token()
    header, payload, signature = whole.split(".")
    octets = base64.urlsafe_b64decode(payload + "==")
    bare = f"{header}..{signature}"
    batch = pa.record_batch(
        {"token": [bare, whole, whole, bare, bare], "body": [octets, None, octets, octets + b" ", None]}
    )
    out = verified(BulkVerifier(engine, payload="body", now=NOW_S), batch)
    assert [verdict for verdict, _ in found_in(out)] == ["permit", "permit", "deny", "deny", "deny"]
    assert out.schema.names == ["verdict", "code"]


def test_a_verifier_checks_signatures_only() -> None:
    """A Verifier's verdicts come from a column too; claims cannot be asked of it."""
    verifier = Verifier([tokens.public("ES256")], algorithms=["ES256"])
    made = [tokens.token(exp=1), tokens.token(name="stranger"), "x"]
    out = verified(BulkVerifier(verifier), batch_of(made))
    expected = []
    for one in made:
        expected.append(tokens.code_of(verifier, one))
    assert [code for _, code in found_in(out)] == expected
    with pytest.raises(rapidjws.ConfigurationError, match="claims"):
        BulkVerifier(verifier, claims={"sub": "string"})


@pytest.mark.parametrize(
    ("columns", "options", "place"),
    [
        ({"jwt": ["x"]}, {}, "column.token"),
        ({"token": [1]}, {}, "column.token"),
        ({"token": [["x"]]}, {}, "column.token"),
        ({"token": pa.array([1, 1]).dictionary_encode()}, {}, "column.token"),
        ({"token": ["x"]}, {"time": "at"}, "column.at"),
        ({"token": ["x"], "at": ["now"]}, {"time": "at"}, "column.at"),
        ({"token": ["x"], "body": [1]}, {"payload": "body"}, "column.body"),
        ({"token": ["x"]}, {"keep": ["id"]}, "column.id"),
        ({"token": ["x"], "code": ["y"]}, {}, "column.code"),
        ({"token": ["x"], "sub": ["y"]}, {"claims": {"sub": "string"}}, "column.sub"),
    ],
    ids=["none", "number", "list", "dictionary", "no-time", "text-time", "payload", "keep", "code", "claim"],
)
def test_other_columns_are_named(columns: dict[str, Any], options: dict[str, Any], place: str) -> None:
    """A column that is missing, of another type or there twice is named, before anything is verified."""
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, **options)
    for given in (pa.record_batch(columns), pa.table(columns)):
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            verifier.verify_batch(given)
        assert refused.value.place == place


def test_tables_and_empty_batches() -> None:
    """A table of several chunks and an empty batch come back with as many rows as they had."""
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"})
    table = pa.table({"token": pa.chunked_array([TEXT[:2], [], TEXT[2:]]), "id": range(5)})
    assert verifier.verify_batch(table).column("id").to_pylist() == list(range(5))
    empty = verifier.verify_batch(batch_of([], pa.string()))
    assert empty.num_rows == 0
    assert empty.schema == verifier.schema(pa.schema({"token": pa.string()}))
