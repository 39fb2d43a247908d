"""Attestations: enough roles over exactly these files, whatever a stranger does to what lies between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokens
from tokens import NOW_S
from typer.testing import CliRunner

import rapidjws
from rapidjws import JWK
from rapidjws.attest import (
    Quorum,
    RolePolicy,
    add_signature,
    approve,
    ask,
    attest,
    collect,
    parse_policy,
    verify_attestation,
)
from rapidjws.cli.app import load_command
from rapidjws.signing import LocalSigner, Signature, sign_general
from rapidjws.testing import make_key

NAMES = ("build", "review", "security")
PRIVATE = {name: make_key("ES256", kid=f"{name}-1") for name in NAMES}
ROLES = {name: key.public() for name, key in PRIVATE.items()}
TYPE = "https://slsa.dev/provenance/v1"
POLICY = "2 of build,review,security"


def signer(name: str) -> LocalSigner:
    """Return the signer of a role."""
    return LocalSigner(PRIVATE[name])


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Return a file."""
    path = tmp_path / "app.tar"
    path.write_bytes(b"the artifact")
    return path


def made(artifact: Path, *names: str, **options: Any) -> dict[str, Any]:
    """Return an attestation by these roles."""
    options = {"predicate_type": TYPE, "predicate": {"run": 7}, "now": NOW_S, **options}
    return attest([artifact], [signer(name) for name in names], **options)


def code_of(envelope: Any, artifact: Path, **options: Any) -> str:
    """Return "ok" or why an attestation is refused."""
    text = envelope if isinstance(envelope, (str, bytes)) else json.dumps(envelope)
    options = {"roles": ROLES, "policy": POLICY, "algorithms": ["ES256"], "now": NOW_S, **options}
    try:
        verify_attestation(text, [artifact], **options)
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"


def test_two_of_three_are_enough(artifact: Path) -> None:
    """Two roles of three are enough, one is not; what they signed is a Statement with its content type."""
    assert code_of(made(artifact, "build", "security"), artifact) == "ok"
    assert code_of(made(artifact, *NAMES), artifact) == "ok"
    assert code_of(made(artifact, "build"), artifact) == "signatures_insufficient"
    found = verify_attestation(json.dumps(made(artifact, "security", "build")), [artifact], roles=ROLES,
                               policy=POLICY, algorithms=["ES256"], now=NOW_S)  # fmt: skip
    assert found.roles == ("build", "security")
    assert found.statement["_type"] == "https://in-toto.io/Statement/v1"
    header = json.loads(tokens.b64url_decode(made(artifact, "build")["signatures"][0]["protected"]))
    assert header["cty"] == "vnd.in-toto+json"


def test_a_signer_counts_once(artifact: Path) -> None:
    """The same signer twice, or two keys of one role, count as one role."""
    once = json.dumps(made(artifact, "build"))
    twice = add_signature(once, signer("build"), artifacts=[artifact], now=NOW_S)
    assert code_of(twice, artifact) == "signatures_insufficient"
    second = make_key("ES256", kid="build-2")
    envelope = attest([artifact], [signer("build"), LocalSigner(second)], predicate_type=TYPE, predicate={})
    roles = {**ROLES, "build": [ROLES["build"], second.public()]}
    assert code_of(envelope, artifact, roles=roles) == "signatures_insufficient"
    assert code_of(envelope, artifact, roles=roles, policy="1 of build") == "ok"


def test_a_key_that_signs_twice_at_once_is_a_mistake(artifact: Path, tmp_path: Path) -> None:
    """One key given twice is refused, under another kid too, and by the command; nothing is written."""
    again = JWK.from_json({**PRIVATE["build"].as_dict(private=True), "kid": "other"}, private=True)
    for second in (signer("build"), LocalSigner(again)):
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            attest([artifact], [signer("build"), second], predicate_type=TYPE, predicate={})
        assert refused.value.place == "signers[1]"
    key, out = tmp_path / "key.json", tmp_path / "out.json"
    key.write_text(json.dumps(again.as_dict(private=True)))
    key.chmod(0o600)
    (tmp_path / "p.json").write_text("{}")
    words = [
        "sign",
        str(artifact),
        "--key",
        str(key),
        "--key",
        str(key),
        "--predicate",
        str(tmp_path / "p.json"),
    ]
    given = [*words, "--predicate-type", TYPE, "--out", str(out)]
    done = CliRunner().invoke(load_command("attest"), given)
    assert (done.exit_code, out.exists()) == (2, False), done.output


def test_a_role_is_what_its_key_is(artifact: Path) -> None:
    """A stranger who takes a role's kid, or states its name, is no signer of that role."""
    stranger = make_key("ES256", kid="review-1")
    envelope = attest([artifact], [signer("build"), LocalSigner(stranger)], predicate_type=TYPE, predicate={})
    assert code_of(envelope, artifact) == "signatures_insufficient"
    payload = tokens.b64url_decode(envelope["payload"])
    header = {"cty": "vnd.in-toto+json", "iss": "review", "role": "review"}
    claimed = sign_general(payload, [Signature(signer=signer("build"), header=header)])
    assert code_of(claimed, artifact, policy="1 of review") != "ok"


def test_a_key_in_two_roles_is_an_error(artifact: Path) -> None:
    """A key, or a kid, that two roles share is refused before anything is verified."""
    other = make_key("ES256", kid="build-1").public()
    renamed = JWK.from_json({**ROLES["build"].as_dict(), "kid": "x"})
    for wrong in (ROLES["build"], renamed, other):
        roles = {**ROLES, "review": [ROLES["review"], wrong]}
        assert code_of(made(artifact, *NAMES), artifact, roles=roles) == "configuration_invalid"
    for wrong in (
        {**ROLES, "review": []},
        {"build": ROLES["build"]},
        {**ROLES, "build": tokens.public("HS256")},
    ):
        assert code_of(made(artifact, *NAMES), artifact, roles=wrong) == "configuration_invalid"


def test_a_shared_secret_is_no_role(artifact: Path) -> None:
    """Who verifies by a shared secret could sign: such a key is refused, also where HMAC is accepted."""
    secret = make_key("HS256", kid="build-1")
    envelope = attest([artifact], [LocalSigner(secret)], predicate_type=TYPE, predicate={})
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        verify_attestation(json.dumps(envelope), [artifact], roles={"build": secret}, policy="1 of build",
                           algorithms=["HS256"])  # fmt: skip
    assert (refused.value.code, refused.value.place) == ("configuration_invalid", "roles.build")


@pytest.mark.parametrize(
    "text",
    ["0 of a", "2 of a", "2 of a,a", "1 of a,a", "-1 of a", "1 of", "1 of ,", "1 of a,", "a", "", "of a",
     "1of a", "1 of a and", "and 1 of a", "1 of a or 1 of b", "99999 of a", "1.0 of a", "\u0661 of a",
     "1 of a b", "1 of \u0430\n", "1 of a\n", " 1 of a;b"],
)  # fmt: skip
def test_policies_that_are_none(text: str) -> None:
    """A policy that asks for nothing, for more than there are, or for anything unclear is refused."""
    with pytest.raises(rapidjws.ConfigurationError, match="policy"):
        parse_policy(text)


def test_policies() -> None:
    """Quorums joined by "and" must all be met; roles that nobody named do not count."""
    policy = parse_policy("1 of build and 2 of review, security,legal")
    assert str(policy) == "1 of build and 2 of review,security,legal"
    assert policy.is_met(["build", "review", "legal"])
    assert not policy.is_met(["review", "security", "legal"])
    assert not policy.is_met(["build", "review", "review", "other"])
    for wrong in (lambda: RolePolicy(quorums=()), lambda: Quorum(count=0, roles=("a",)),
                  lambda: Quorum(count=1, roles=())):  # fmt: skip
        with pytest.raises(rapidjws.ConfigurationError):
            wrong()


def test_another_artifact(artifact: Path, tmp_path: Path) -> None:
    """A file with other content is refused, also under the same name; a renamed one is the same file."""
    envelope = made(artifact, "build", "review")
    moved = tmp_path / "renamed"
    moved.write_bytes(artifact.read_bytes())
    assert code_of(envelope, moved) == "ok"
    artifact.write_bytes(b"the artifact.")
    assert code_of(envelope, artifact) == "claim_mismatch"
    with pytest.raises(rapidjws.ConfigurationError, match="artifacts"):
        verify_attestation(json.dumps(envelope), [], roles=ROLES, policy=POLICY, algorithms=["ES256"])


def by_all(payload: bytes, **header: Any) -> dict[str, Any]:
    """Return a payload that all roles signed."""
    members = {"cty": "vnd.in-toto+json", **header}
    return sign_general(payload, [Signature(signer=signer(name), header=members) for name in NAMES])


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(subject=[]),
        lambda s: s.update(subject={"name": "app.tar"}),
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s["subject"][0].update(digest={}),
        lambda s: s["subject"][0].update(digest={"md5": "00" * 16}),
        lambda s: s["subject"][0]["digest"].update(sha256=s["subject"][0]["digest"]["sha256"].upper()),
        lambda s: s["subject"][0]["digest"].update(sha256=s["subject"][0]["digest"]["sha256"][:-2]),
        lambda s: s["subject"][0]["digest"].update(sha256=None),
        lambda s: s["subject"][0]["digest"].update(sha512="00" * 64),
        lambda s: s["subject"].append({"name": "app.tar", "digest": {"sha256": "00" * 32}}),
        lambda s: s.update(predicate=[]),
        lambda s: s.update(subjects=s["subject"]),
    ],
)
def test_statements_that_could_be_read_in_two_ways(change: Callable[[Any], None], artifact: Path) -> None:
    """A Statement whose subjects or digests are unclear is refused, although all signed it."""
    statement = json.loads(tokens.b64url_decode(made(artifact, "build")["payload"]))
    assert code_of(by_all(json.dumps(statement).encode()), artifact) == "ok"
    change(statement)
    assert code_of(by_all(json.dumps(statement).encode()), artifact) in ("malformed_claim", "claim_mismatch")


def test_a_member_twice(artifact: Path) -> None:
    """A member that stands twice is refused in the Statement and in the envelope."""
    payload = tokens.b64url_decode(made(artifact, "build")["payload"])
    twice = payload[:-1] + b',"predicateType":"https://other.example/"}'
    assert code_of(by_all(twice), artifact) == "duplicate_member"
    text = json.dumps(made(artifact, "build", "review"))
    assert code_of(text[:-1] + ',"payload":"e30"}', artifact) == "duplicate_member"
    assert code_of(text[:-1] + ',"more":1}', artifact) == "malformed_token"
    assert code_of("[]", artifact) == "malformed_token"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"cty": "json"}, "claim_mismatch"),
        ({"cty": "vnd.rapidjws.approval+json"}, "claim_mismatch"),
        ({"exp": NOW_S}, "expired"),
        ({"exp": str(NOW_S + 5)}, "malformed_claim"),
        ({"exp": True}, "malformed_claim"),
        ({"exp": None}, "malformed_claim"),
        ({"iat": NOW_S + 4000}, "issued_in_future"),
        ({"exp": NOW_S + 1, "iat": NOW_S}, "ok"),
    ],
)
def test_headers_decide_what_counts(header: dict[str, Any], code: str, artifact: Path) -> None:
    """A signature for another content type, an expired one, or one with unclear dates does not count."""
    payload = tokens.b64url_decode(made(artifact, "build")["payload"])
    assert code_of(by_all(payload, **header), artifact) == code


def test_a_critical_parameter_that_nobody_understands(artifact: Path) -> None:
    """A signature whose header demands an unknown extension does not count."""
    payload = tokens.b64url_decode(made(artifact, "build")["payload"])
    header = tokens.b64url(json.dumps({"alg": "ES256", "kid": "build-1", "cty": "vnd.in-toto+json",
                                       "crit": ["x"], "x": 1}).encode())  # fmt: skip
    signing_input = f"{header}.{tokens.b64url(payload)}".encode()
    entry = {"protected": header, "signature": tokens.b64url(signer("build").sign(signing_input))}
    envelope = {"payload": tokens.b64url(payload), "signatures": [entry]}
    assert code_of(envelope, artifact, policy="1 of build") != "ok"


def test_signatures_that_expire_apart(artifact: Path) -> None:
    """Each signature holds until its own date; once too few hold, the whole is refused as expired."""
    envelope = made(artifact, "build", lifetime_s=100)
    text = json.dumps(envelope)
    added = add_signature(text, signer("review"), artifacts=[artifact], lifetime_s=500, now=NOW_S + 50)
    assert code_of(added, artifact) == "ok"
    assert code_of(added, artifact, now=NOW_S + 100) == "expired"
    assert code_of(added, artifact, now=NOW_S + 100, policy="1 of build,review") == "ok"


def test_nobody_adds_a_signature_to_another_file(artifact: Path, tmp_path: Path) -> None:
    """A signer who checks another file than the attestation is about does not sign it."""
    other = tmp_path / "other"
    other.write_bytes(b"x")
    with pytest.raises(rapidjws.ClaimRefused):
        add_signature(json.dumps(made(artifact, "build")), signer("review"), artifacts=[other])


def test_the_predicate_type_that_is_asked_for(artifact: Path) -> None:
    """A Statement of another kind is refused where one kind is asked for."""
    envelope = made(artifact, "build", "review")
    assert code_of(envelope, artifact, predicate_type=TYPE) == "ok"
    assert code_of(envelope, artifact, predicate_type="https://slsa.dev/provenance/v2") == "claim_mismatch"


ACTION = {"deploy": "payments", "version": "1.2.3"}


def approved(request: bytes, *answers: Any, **options: Any) -> str:
    """Return "ok" or why there is no approval."""
    options = {"roles": ROLES, "algorithms": ["ES256"], "now": NOW_S, **options}
    try:
        collect(request, answers, **options)
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"


def test_approvals() -> None:
    """Enough roles approve, in any order and also when collected before; too few, or one twice, do not."""
    request = ask(ACTION, policy=POLICY, lifetime_s=600, now=NOW_S)
    one, two, three = (approve(request, signer(name), now=NOW_S + at) for at, name in enumerate(NAMES))
    assert approved(request, two, one) == "ok"
    assert approved(request, json.dumps(one), three) == "ok"
    assert approved(request, one) == "signatures_insufficient"
    assert approved(request, one, one) == "signatures_insufficient"
    assert approved(request) == "signatures_insufficient"
    assert approved(request, one, policy="1 of build") == "ok"


def test_approvals_expire() -> None:
    """After its date a request is neither signed nor collected."""
    request = ask(ACTION, policy=POLICY, lifetime_s=60, now=NOW_S)
    answers = [approve(request, signer(name), now=NOW_S) for name in NAMES]
    assert approved(request, *answers, now=NOW_S + 59.999) == "ok"
    assert approved(request, *answers, now=NOW_S + 60) == "expired"
    with pytest.raises(rapidjws.ClaimRefused):
        approve(request, signer("build"), now=NOW_S + 60)


def test_one_rejection_is_a_refusal() -> None:
    """Where one of the roles rejects, there is no approval, however many approve."""
    request = ask(ACTION, policy=POLICY, lifetime_s=600, now=NOW_S)
    answers = [approve(request, signer(name), now=NOW_S) for name in NAMES[:2]]
    no = approve(request, signer("security"), decision="reject", now=NOW_S)
    assert approved(request, *answers, no) == "signers_disagree"
    assert approved(request, no, *answers) == "signers_disagree"
    assert approved(request, no) == "claim_mismatch"


def test_an_answer_to_another_request() -> None:
    """An answer to another request, or to the same one written in another way, is refused."""
    request = ask(ACTION, policy=POLICY, lifetime_s=600, now=NOW_S)
    other = ask(ACTION, policy=POLICY, lifetime_s=600, now=NOW_S)
    assert request != other
    one = approve(request, signer("build"), now=NOW_S)
    assert approved(request, one, approve(other, signer("review"), now=NOW_S)) == "claim_mismatch"
    with pytest.raises(rapidjws.ClaimRefused):
        approve(json.dumps(json.loads(request)).encode(), signer("build"), now=NOW_S)
    cheaper = json.dumps(
        {**json.loads(request), "policy": "1 of build"}, sort_keys=True, separators=(",", ":")
    )
    assert approved(cheaper.encode(), one) == "claim_mismatch"


def run(*arguments: object) -> Any:
    """Run ``rapidjws attest``."""
    return CliRunner().invoke(load_command("attest"), [str(one) for one in arguments])


def test_the_commands(artifact: Path, tmp_path: Path) -> None:
    """The commands sign, add and verify; exit 0 where enough signed, 1 where not, 2 on wrong usage."""
    options: list[object] = ["--alg", "ES256"]
    for name in NAMES:
        (tmp_path / f"{name}.jwk").write_text(json.dumps(PRIVATE[name].as_dict(private=True)))
        (tmp_path / f"{name}.json").write_text(json.dumps({"keys": [ROLES[name].as_dict()]}))
        options += ["--role", f"{name}={tmp_path / name}.json"]
    predicate, out = tmp_path / "predicate.json", tmp_path / "out.json"
    predicate.write_text('{"run": 7}')
    what = ("--predicate", predicate, "--predicate-type", TYPE)
    first = run(artifact, "--key", tmp_path / "build.jwk", *what, "--out", out)
    assert first.exit_code == 0, first.output
    assert run("verify", out, artifact, "--policy", POLICY, *options).exit_code == 1
    added = run(artifact, "--add-to", out, "--key", tmp_path / "review.jwk", "--out", out)
    assert added.exit_code == 0, added.output
    done = run("verify", out, artifact, "--policy", POLICY, *options, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["roles"] == ["build", "review"]
    assert run("verify", out, artifact, "--policy", "0 of build", *options).exit_code == 2
    assert run("verify", out, artifact, "--policy", "1 of nobody", *options).exit_code == 2
    assert run("verify", tmp_path / "none", artifact, "--policy", POLICY, *options).exit_code == 2
    assert run(artifact, "--key", tmp_path / "build.jwk").exit_code == 2
    artifact.write_bytes(b"swapped")
    assert run("verify", out, artifact, "--policy", POLICY, *options).exit_code == 1
    assert run(artifact, "--add-to", out, "--key", tmp_path / "review.jwk").exit_code == 1
