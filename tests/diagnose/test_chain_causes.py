"""Why a chain in x5c is refused: each mistake by its own cause."""

from __future__ import annotations

import time
from typing import Any

import pytest
from certified import CertifiedKey, Chain, app_store_chain, x5c_of

from rapidjws import NOT_CHECKED, Engine, Issuer, Verifier, diagnose
from rapidjws.keys import X5CKeys, X5CPolicy

NOW = int(time.time())
PLAIN = Chain()
APPLE = app_store_chain()
OTHER = Chain()
SELF = CertifiedKey("self")
OLD = Chain({"days": (-30, -10)})
LATER = Chain({"days": (10, 30)})
NO_AUTHORITY = CertifiedKey("pretended", PLAIN.leaf)
WRONG_USAGE = Chain({"usage": "key_encipherment"})
_SAME_NAME = Chain()


def causes(token: str, root: CertifiedKey, policy: Any = None, *, engine: bool = True) -> list[str]:
    """Return the causes of a refusal, the most probable first."""
    source = X5CKeys(root.pem, policy=policy)
    using: Any = Verifier(source, algorithms=["ES256"], max_header_bytes=16_384)
    if engine:
        issuer = Issuer(None, keys=source, algorithms=["ES256"], audience=NOT_CHECKED, exp_required=False)
        using = Engine(issuer, max_header_bytes=16_384)
    found = diagnose(token, using)
    assert found.code == "chain_refused"
    return [one.id for one in found.causes]


def urlsafe(chain: Chain) -> list[str]:
    """Return a chain in base64url."""
    return [one.replace("+", "-").replace("/", "_").rstrip("=") for one in chain.x5c]


CASES: dict[str, tuple[Chain, list[Any] | str | None, Chain]] = {
    "chain_missing": (PLAIN, None, PLAIN),
    "chain_malformed": (PLAIN, ["AAAA"], PLAIN),
    "chain_encoding": (PLAIN, urlsafe(PLAIN), PLAIN),
    "chain_order": (PLAIN, x5c_of(PLAIN.leaf, PLAIN.root, PLAIN.above), PLAIN),
    "chain_incomplete": (PLAIN, x5c_of(PLAIN.leaf, PLAIN.root), PLAIN),
    "chain_length": (PLAIN, x5c_of(PLAIN.leaf, PLAIN.above, PLAIN.root, PLAIN.root, PLAIN.root), PLAIN),
    "chain_expired": (OLD, OLD.x5c, OLD),
    "chain_not_yet_valid": (LATER, LATER.x5c, LATER),
    "chain_leaf_usage": (WRONG_USAGE, WRONG_USAGE.x5c, WRONG_USAGE),
}


@pytest.mark.parametrize("cause", CASES)
@pytest.mark.parametrize("engine", [True, False])
def test_each_mistake_has_its_cause(cause: str, engine: bool) -> None:
    """An engine's and a verifier's refusal is explained by what is wrong with the chain."""
    chain, x5c, root = CASES[cause]
    assert causes(chain.token({"iat": NOW}, x5c=x5c), root.root, engine=engine)[0] == cause


def test_roots_and_authorities() -> None:
    """Another root, one of the same name, a certificate of itself and a pretended authority have causes."""
    other = CertifiedKey("another root", is_ca=True, days=(-900, 900))
    assert causes(PLAIN.token(), other)[0] == "chain_other_root"
    assert causes(_SAME_NAME.token(), PLAIN.root)[0] == "chain_other_root"
    assert causes(SELF.token({"iat": NOW}, x5c=x5c_of(SELF)), PLAIN.root)[0] == "chain_self_signed"
    forged = x5c_of(NO_AUTHORITY, PLAIN.leaf, PLAIN.above, PLAIN.root)
    assert causes(NO_AUTHORITY.token({"iat": NOW}, x5c=forged), PLAIN.root)[0] == "chain_no_authority"


def test_profiles_and_times() -> None:
    """A chain without the profile's marks, and a token that does not say when it was signed, have causes."""
    assert causes(PLAIN.token(), PLAIN.root, "app_store")[0] == "chain_other_profile"
    assert causes(APPLE.token({"a": 1}), APPLE.root, "app_store")[0] == "chain_time_missing"
    ahead = APPLE.token({"signedDate": (NOW + 10**6) * 1000})
    assert causes(ahead, APPLE.root, "app_store")[0] == "chain_time_wrong"
    purposes = X5CPolicy(extended_key_usages=("1.3.6.1.5.5.7.3.4",))
    assert causes(PLAIN.token(), PLAIN.root, purposes)[0] == "chain_leaf_usage"
