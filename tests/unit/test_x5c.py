"""Chains in x5c: only to pinned roots, by the policy, at their time, and cached after a good signature."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from certified import ABOVE_MARK, LEAF_MARK, CertifiedKey, Chain, app_store_chain, x5c_of
from cryptography import x509

from rapidjws import (
    NOT_CHECKED,
    ConfigurationError,
    Engine,
    HeaderRefused,
    Issuer,
    RapidJWSError,
    Rejected,
    VerifiedJWS,
)
from rapidjws.keys import X5CKeys, X5CPolicy
from rapidjws.keys.chain import ChainChecker
from rapidjws.testing import make_key

NOW = int(time.time())
DAY = 86_400
CLAIMS = {"notificationType": "TEST", "signedDate": NOW * 1000}


def _engine(source: X5CKeys, **settings: Any) -> Engine:
    issuer = Issuer(
        None, keys=source, algorithms=["ES256"], audience=NOT_CHECKED, exp_required=False, **settings
    )
    return Engine(issuer, max_header_bytes=16_384)


def _code(engine: Engine, token: str, now: float | None = None) -> str:
    try:
        engine.verify(token, now)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


@pytest.fixture(name="apple", scope="module")
def _apple_chain() -> Chain:
    return app_store_chain()


def test_a_critical_parameter_of_another_issuer_is_refused_before_the_chain(apple: Chain) -> None:
    """What another issuer's rules understand is not understood for this one: no chain is looked at."""
    rules: dict[str, Any] = {"algorithms": ["ES256"], "audience": NOT_CHECKED, "exp_required": False}
    source = X5CKeys(app_store_chain().root.pem, policy="app_store")
    mine = Issuer("https://mine.example", keys=source, **rules)
    other = Issuer("https://other.example", keys=make_key("ES256").public(), crit=["x"], **rules)
    engine = Engine(mine, other, max_header_bytes=16_384)
    claims = {**CLAIMS, "iss": "https://mine.example"}
    assert _code(engine, apple.token(claims)) == "chain_refused"
    assert _code(engine, apple.token(claims, crit=["x"], x=1)) == "crit_unsupported"


def test_a_notification_of_the_app_store_is_verified(apple: Chain) -> None:
    """A chain with Apple's marks verifies; the engine is ready before, and its leaf is a key after."""
    source = X5CKeys(apple.root.pem, policy="app_store")
    engine = _engine(source)
    assert engine.ready
    token = apple.token()
    assert engine.verify(token).claims["notificationType"] == "TEST"
    assert len(source.state().keys or ()) == 1
    snapshot = engine._snapshot
    assert engine.verify(token).claims["notificationType"] == "TEST"
    assert engine._snapshot is snapshot


def test_the_second_token_is_verified_in_the_core(apple: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token with the exact header of one that verified asks for no chain: the core knows the header."""
    engine = _engine(X5CKeys(apple.root.pem, policy="app_store"))
    engine.verify(apple.token())
    monkeypatch.setattr(X5CKeys, "leaf_for", None)
    assert engine.verify(apple.token({**CLAIMS, "n": 2})).claims["n"] == 2


def test_many_tokens_of_new_chains_in_one_batch(apple: Chain) -> None:
    """Results of a batch stand at their places, whichever of them brings the leaf."""
    engine = _engine(X5CKeys(apple.root.pem, policy="app_store"))
    tokens = [apple.token({**CLAIMS, "n": number}) for number in range(5)]
    tokens[2] = tokens[2][:-8] + "AAAAAAAA"
    found = engine.verify_many(tokens)
    assert [isinstance(one, VerifiedJWS) for one in found] == [True, True, False, True, True]


Make = Callable[[], tuple[Chain, dict[str, Any]]]
REFUSED: dict[str, Make] = {
    "another root": lambda: (app_store_chain(), {"root": CertifiedKey("root", is_ca=True).pem}),
    "no x5c": lambda: (app_store_chain(), {"x5c": None}),
    "an empty x5c": lambda: (app_store_chain(), {"x5c": []}),
    "x5c that is text": lambda: (app_store_chain(), {"x5c": "MIIB"}),
    "x5c of numbers": lambda: (app_store_chain(), {"x5c": [1]}),
    "no certificate": lambda: (app_store_chain(), {"x5c": ["AAAA"]}),
    "no base64": lambda: (app_store_chain(), {"x5c": ["-_-_"]}),
    "the leaf twice over": lambda: _with(lambda one: x5c_of(one.leaf, one.leaf, one.above)),
    "the authority missing": lambda: _with(lambda one: x5c_of(one.leaf, one.root)),
    "the leaf last": lambda: _with(lambda one: x5c_of(one.above, one.leaf, one.root)),
    "too many certificates": lambda: _with(lambda one: x5c_of(*[one.leaf, one.above, one.root] * 2)),
    "no mark on the leaf": lambda: (Chain(above={"extensions": [(ABOVE_MARK, False)]}), {}),
    "no mark above": lambda: (Chain({"extensions": [(LEAF_MARK, False)]}), {}),
    "a leaf that is an authority": lambda: (
        Chain({"is_ca": True, "extensions": [(LEAF_MARK, False)]}, {"extensions": [(ABOVE_MARK, False)]}),
        {}),
    "a key for encryption": lambda: (
        Chain({"usage": "key_encipherment", "extensions": [(LEAF_MARK, False)]},
              {"extensions": [(ABOVE_MARK, False)]}), {}),
    "a leaf past its end": lambda: (
        Chain({"days": (-9, -1), "extensions": [(LEAF_MARK, False)]}, {"extensions": [(ABOVE_MARK, False)]}),
        {}),
    "an unknown critical extension": lambda: (
        Chain({"extensions": [(LEAF_MARK, False), (_unknown(), True)]},
              {"extensions": [(ABOVE_MARK, False)]}),
        {}),
}  # fmt: skip


def _unknown() -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def _with(x5c: Callable[[Chain], list[str]]) -> tuple[Chain, dict[str, Any]]:
    chain = app_store_chain()
    return chain, {"x5c": x5c(chain)}


@pytest.mark.parametrize("case", REFUSED)
def test_a_chain_that_is_none_is_refused(case: str) -> None:
    """A chain beyond the roots or the policy is refused whatever its signature, and fills no cache."""
    chain, changes = REFUSED[case]()
    source = X5CKeys(changes.pop("root", chain.root.pem), policy="app_store")
    engine = _engine(source)
    assert _code(engine, chain.token(**changes)) == "chain_refused"
    assert not source._leaves
    assert not source._chains


def test_a_path_longer_than_an_authority_allows_is_refused() -> None:
    """A certificate below an authority whose path length is used up is no chain."""
    root = CertifiedKey("root", is_ca=True, path_length=0)
    above = CertifiedKey("above", root, is_ca=True)
    leaf = CertifiedKey("leaf", above)
    engine = _engine(X5CKeys(root.pem))
    assert _code(engine, leaf.token({}, x5c=x5c_of(leaf, above))) == "chain_refused"
    direct = CertifiedKey("leaf", root)
    assert _code(engine, direct.token({}, x5c=x5c_of(direct))) == "ok"


def test_an_issuer_that_is_no_authority_is_refused() -> None:
    """A leaf cannot vouch for another certificate."""
    root = CertifiedKey("root", is_ca=True)
    first = CertifiedKey("first", root)
    second = CertifiedKey("second", first)
    assert _code(_engine(X5CKeys(root.pem)), second.token({}, x5c=x5c_of(second, first))) == "chain_refused"


def test_name_constraints_hold() -> None:
    """A leaf whose name lies outside of what its authority may name is refused."""
    within = x509.NameConstraints(permitted_subtrees=[x509.DNSName("bank.example")], excluded_subtrees=None)
    root = CertifiedKey("root", is_ca=True)
    above = CertifiedKey("above", root, is_ca=True, extensions=[(within, True)])
    engine = _engine(X5CKeys(root.pem))
    for name, code in (("api.bank.example", "ok"), ("bank.evil.example", "chain_refused")):
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        leaf = CertifiedKey("leaf", above, extensions=[(names, False)])
        assert _code(engine, leaf.token({}, x5c=x5c_of(leaf, above))) == code


def test_a_purpose_is_demanded() -> None:
    """Where the policy names extended key usages, a leaf without one of them is refused."""
    root = CertifiedKey("root", is_ca=True)
    oid = "1.3.6.1.5.5.7.3.36"
    engine = _engine(X5CKeys(root.pem, policy=X5CPolicy(extended_key_usages=[oid])))
    named = x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid)])
    other = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")])
    for extension, code in ((named, "ok"), (other, "chain_refused"), (None, "chain_refused")):
        leaf = CertifiedKey("leaf", root, extensions=[] if extension is None else [(extension, False)])
        assert _code(engine, leaf.token({}, x5c=x5c_of(leaf))) == code


@pytest.mark.parametrize("profile", ["jades", "open_finance"])
def test_profiles_demand_key_usage(profile: str) -> None:
    """JAdES and Open Finance leaves must say that they are for signatures."""
    root = CertifiedKey("root", is_ca=True)
    engine = _engine(X5CKeys(root.pem, policy=profile))
    for usage, code in (("digital_signature", "ok"), ("content_commitment", "ok"), (None, "chain_refused")):
        leaf = CertifiedKey("leaf", root, usage=usage)
        assert _code(engine, leaf.token({"iat": NOW}, x5c=x5c_of(leaf))) == code


def test_another_key_under_a_good_chain_is_a_bad_signature(apple: Chain) -> None:
    """A stranger with a copied chain fails by the signature, before and after the chain is known."""
    source = X5CKeys(apple.root.pem, policy="app_store")
    engine = _engine(source)
    forged = CertifiedKey().token(CLAIMS, x5c=apple.x5c)
    assert _code(engine, forged) == "signature_invalid"
    assert not source._leaves
    assert _code(engine, apple.token()) == "ok"
    assert _code(engine, forged) == "signature_invalid"


def test_a_chain_is_checked_now_also_once_it_is_known() -> None:
    """With time "now", a remembered leaf is refused at its end, whatever the token says."""
    root = CertifiedKey("root", is_ca=True, days=(-9, 90))
    leaf = CertifiedKey("leaf", root, days=(-9, 9))
    engine = _engine(X5CKeys(root.pem))
    token = leaf.token({"iat": NOW}, x5c=x5c_of(leaf))
    assert [_code(engine, token, NOW + days * DAY) for days in (0, 8, 10)] == ["ok", "ok", "chain_refused"]
    results = engine.verify_many([token], NOW + 10 * DAY)
    assert isinstance(results[0], Rejected)


def test_a_chain_is_checked_at_the_tokens_time() -> None:
    """With time "token", old tokens of an ended leaf hold, and new ones do not, known or not."""
    root = CertifiedKey("root", is_ca=True, days=(-90, 90))
    leaf = CertifiedKey("leaf", root, days=(-9, -3))
    engine = _engine(X5CKeys(root.pem, policy=X5CPolicy(time="token")))
    chain = x5c_of(leaf)
    for _ in range(2):
        assert _code(engine, leaf.token({"signedDate": (NOW - 5 * DAY) * 1000}, x5c=chain)) == "ok"
        assert _code(engine, leaf.token({"signedDate": NOW * 1000}, x5c=chain)) == "chain_refused"
        assert _code(engine, leaf.token({}, x5c=chain)) == "chain_refused"
        assert _code(engine, leaf.token({"iat": NOW - 5 * DAY}, x5c=chain)) == "ok"
        assert _code(engine, leaf.token({"iat": NOW - 5 * DAY}, x5c=chain, iat=NOW)) == "chain_refused"
    sig_t = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - 5 * DAY))
    assert _code(engine, leaf.token({}, x5c=chain, sigT=sig_t)) == "ok"
    assert _code(engine, leaf.token({}, x5c=chain, sigT="soon")) == "chain_refused"


@pytest.mark.parametrize("days", [(-90, -3), (3, 90)])
def test_the_dates_of_a_pinned_root_count(days: tuple[int, int]) -> None:
    """A pinned root out of its dates vouches for nothing now, and for tokens of its time by policy."""
    root = CertifiedKey("root", is_ca=True, days=days)
    leaf = CertifiedKey("leaf", root, days=(-90, 90))
    now, then = _engine(X5CKeys(root.pem)), _engine(X5CKeys(root.pem, policy=X5CPolicy(time="token")))
    for chain in (x5c_of(leaf), x5c_of(leaf, root)):
        for _ in range(2):
            token = leaf.token({"iat": NOW - 5 * DAY}, x5c=chain)
            assert _code(now, token) == "chain_refused"
            assert _code(then, token) == ("ok" if days[0] < 0 else "chain_refused")
            assert _code(then, leaf.token({"iat": NOW}, x5c=chain)) == "chain_refused"


def test_a_time_ahead_is_refused() -> None:
    """A token that says it was signed later than now is refused, though its chain would hold then."""
    root = CertifiedKey("root", is_ca=True)
    leaf = CertifiedKey("leaf", root)
    engine = _engine(X5CKeys(root.pem, policy=X5CPolicy(time="token")))
    assert _code(engine, leaf.token({"signedDate": (NOW + DAY) * 1000}, x5c=x5c_of(leaf))) == "chain_refused"


def test_the_caches_are_bounded() -> None:
    """More leaves than the bound leave the newest; forgotten ones are checked again."""
    root = CertifiedKey("root", is_ca=True)
    source = X5CKeys(root.pem, max_leaves=4)
    engine = _engine(source)
    leaves = [CertifiedKey(f"leaf{number}", root) for number in range(7)]
    for leaf in [*leaves, leaves[0]]:
        assert _code(engine, leaf.token({}, x5c=x5c_of(leaf))) == "ok"
        assert len(source._leaves) <= 4
        assert len(source._chains) <= 16


def test_a_revoked_leaf_is_refused() -> None:
    """A leaf is revoked by its kid, the certificate's thumbprint, before or after it was seen."""
    root = CertifiedKey("root", is_ca=True)
    leaf = CertifiedKey("leaf", root)
    token = leaf.token({}, x5c=x5c_of(leaf))
    engine = _engine(X5CKeys(root.pem))
    kid = engine.verify(token)._key.jwk.kid
    engine.revoke(kid=kid)
    assert _code(engine, token) == "revoked"
    other = _engine(X5CKeys(root.pem))
    other.revoke(kid=kid)
    assert _code(other, token) == "revoked"


def test_the_kid_of_a_leaf_names_no_key_by_itself(apple: Chain) -> None:
    """A token that names a remembered leaf by kid, without its chain, is refused."""
    source = X5CKeys(apple.root.pem, policy="app_store")
    engine = _engine(source)
    kid = engine.verify(apple.token())._key.jwk.kid
    assert _code(engine, apple.leaf.token(CLAIMS, kid=kid)) == "chain_refused"


def test_one_byte_of_a_chain_more_or_less(apple: Chain) -> None:
    """No chain that differs in one character verifies as another leaf, or enters a cache unseen."""
    source = X5CKeys(apple.root.pem, policy="app_store")
    engine = _engine(source)
    engine.verify(apple.token())
    kids = set(source._leaves)
    for index in range(3):
        text = apple.x5c[index]
        for at in range(0, len(text), 41):
            changed = list(apple.x5c)
            changed[index] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            token = apple.token(x5c=changed)
            code = _code(engine, token)
            assert code == "chain_refused" or index == 2, (index, at, code)  # the root is pinned anyway
    assert set(source._leaves) == kids


def test_bits_of_a_certificate(apple: Chain) -> None:
    """No certificate with one bit changed is taken, and none raises anything but a refusal."""
    checker = ChainChecker(apple.root.pem, X5CPolicy())
    for index, der in enumerate((apple.leaf.der, apple.above.der)):
        for at in range(len(der)):
            octets = bytearray(der)
            octets[at] ^= 1 << at % 8
            chain = apple.x5c[:2]
            chain[index] = base64.b64encode(bytes(octets)).decode()
            with pytest.raises(HeaderRefused):
                checker.leaf_of(chain, NOW)


def test_unused_bits_of_a_signature_are_refused(apple: Chain) -> None:
    """A certificate whose signature claims unused bits is another text for the same one: it is refused."""
    der = bytearray(apple.leaf.der)
    der[der.rindex(apple.leaf.certificate.signature) - 1] = 1
    chain = [base64.b64encode(bytes(der)).decode(), apple.x5c[1]]
    with pytest.raises(HeaderRefused):
        ChainChecker(apple.root.pem, X5CPolicy()).leaf_of(chain, NOW)


@pytest.mark.parametrize(
    "settings",
    [
        {"roots": []}, {"roots": "absent.pem"}, {"roots": "-----BEGIN nothing"}, {"roots": b""},
        {"policy": "appstore"}, {"policy": X5CPolicy, "roots": "x"}, {"max_leaves": 0},
    ],
    ids=str,
)  # fmt: skip
def test_settings_are_checked_at_construction(settings: dict[str, Any], apple: Chain) -> None:
    """No root, no such profile and no such bound are errors at construction."""
    with pytest.raises(ConfigurationError):
        X5CKeys(**{"roots": apple.root.pem, **settings})


def test_a_root_that_is_no_authority_is_refused(apple: Chain) -> None:
    """A leaf cannot be pinned as a root, alone or among roots."""
    for roots in (apple.leaf.pem, [apple.root.pem, apple.leaf.pem], apple.root.pem + apple.leaf.pem):
        with pytest.raises(ConfigurationError) as refused:
            X5CKeys(roots)
        assert refused.value.actual == "a certificate that is no authority"


@pytest.mark.parametrize(
    "settings",
    [{"time": "later"}, {"leaf_oids": ["x"]}, {"key_usages": ["crl_sign"]}, {"key_usages": []},
     {"chain_length": 0}, {"max_chain_length": 9}],
    ids=str,
)  # fmt: skip
def test_a_policy_is_checked(settings: dict[str, Any]) -> None:
    """What no chain could be checked by is an error."""
    with pytest.raises(ConfigurationError):
        X5CPolicy(**settings)


def test_the_limit_of_headers_is_named(apple: Chain) -> None:
    """A chain past the engine's limit of headers is refused with the setting that raises it."""
    issuer = Issuer(None, keys=X5CKeys(apple.root.pem), algorithms=["ES256"], audience=NOT_CHECKED,
                    exp_required=False)  # fmt: skip
    with pytest.raises(RapidJWSError) as refused:
        Engine(issuer, max_header_bytes=1024).verify(apple.token())
    assert "max_header_bytes" in str(refused.value.expected)


def test_typ_is_checked_beside_the_chain(apple: Chain) -> None:
    """A token of another typ than the issuer's is refused, whatever its chain."""
    engine = _engine(X5CKeys(apple.root.pem, policy="app_store"), typ=["JWT", "x"])
    assert _code(engine, apple.token(typ="JOSE")) == "typ_mismatch"
    assert _code(engine, apple.token()) == "typ_mismatch"
    assert _code(engine, apple.token(typ="JWT")) == "ok"
