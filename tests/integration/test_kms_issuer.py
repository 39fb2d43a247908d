"""An issuer whose keys are made in KMS at each rotation, against moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mocked_aws import mocked_aws

from rapidjws import RapidJWSError, Verifier
from rapidjws.config.issuing_file import load_issuing
from rapidjws.issuing import AwsKmsKeyMaker, KeyLifeCycle, KeyTiming, MemoryStateStore, Schedule, SigningKey
from rapidjws.signing import sign_compact
from rapidjws.testing import FakeClock, make_key

CONFIG = """\
[issuing]
issuer = "https://issuer.example"
state_file = "state.json"
kms_regions = ["eu-west-1"]
[queue]
depth = 10
max_age_at_issue_s = 5
[token]
[[clients]]
client_id = "a"
audiences = ["https://orders.example"]
keys_file = "client.jwks"
"""


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """Give a KMS by moto, in this process."""
    with mocked_aws("kms") as boto3:
        yield boto3.client("kms", region_name="eu-west-1")


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_a_key_is_made_signs_and_is_given_to_destruction(kms: Any, alg: str) -> None:
    """A made key signs under its thumbprint, another under its reference is refused, a removed one ends."""
    maker = AwsKmsKeyMaker(["eu-west-1"])
    made = maker.make(alg)
    key = SigningKey(kid=str(made.public.kid), alg=alg, stage="next", jwk=made.public.as_dict(),
                     reference=made.reference, published_at_s=1.0)  # fmt: skip
    assert key.kid == made.public.thumbprint()
    token = sign_compact(b"{}", maker.signer(key))
    assert Verifier(key.public(), algorithms=[alg]).verify(token).payload == b"{}"
    other = SigningKey(kid=key.kid, alg=alg, stage="next", jwk=made.public.as_dict(),
                       reference=maker.make(alg).reference, published_at_s=1.0)  # fmt: skip
    with pytest.raises(RapidJWSError) as refused:
        maker.signer(other)
    assert refused.value.code == "key_malformed"
    maker.remove(key)
    state = kms.describe_key(KeyId=made.reference)["KeyMetadata"]["KeyState"]
    assert state == "PendingDeletion"
    with pytest.raises(RapidJWSError) as refused:
        maker.make("EdDSA")
    assert refused.value.code == "configuration_invalid"


def test_an_issuer_of_a_file_rotates_in_kms_and_queues(kms: Any, tmp_path: Path) -> None:
    """Tokens are signed in KMS through a queue, whose calls are counted; a rotation makes a key."""
    path = tmp_path / "issuing.toml"
    path.write_text(CONFIG)
    (tmp_path / "client.jwks").write_text(json.dumps(make_key("ES256", kid="c").public().as_dict()))
    clock = FakeClock()
    found = load_issuing(path, clock=clock)
    before = len(kms.list_keys()["Keys"])
    for _ in range(3):
        found.life_cycle.tick()
        clock.advance(found.life_cycle.timing.before_s)
    assert len(kms.list_keys()["Keys"]) == before + 2
    assert found.tokens is not None
    first = found.tokens.issue("a")
    keys = [one.public() for one in found.life_cycle.state().published()]
    verifier = Verifier(keys, algorithms=["ES256"])
    assert verifier.verify(first).header["kid"] == found.life_cycle.signing_key().kid
    found.life_cycle.promote()
    second = found.tokens.issue("a")
    assert verifier.verify(second).header["kid"] != verifier.verify(first).header["kid"]
    reading = found.metrics.reading()
    assert reading.total("rapidjws_signing_calls_total", backend="kms", result="ok") == 2
    assert reading.total("rapidjws_signing_quota_calls", backend="kms") > 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("depth = 10", "depth = 0"), ":6: queue.depth"),
        (("depth = 10", "depht = 10"), ":6: queue.depht"),
        (('kms_regions = ["eu-west-1"]', 'kms_regions = ["eu-west-1"]\nkey_folder = "keys"'), ":1: issuing"),
        (('kms_regions = ["eu-west-1"]', 'key_folder = "."'), ":5: queue"),
        (('"eu-west-1"', '"eu west"'), ":4: issuing.kms_regions"),
        (('"eu-west-1"', '""'), ":4: issuing.kms_regions"),
    ],
)
def test_slips_are_errors_at_the_start(kms: Any, tmp_path: Path, change: tuple[str, str], place: str) -> None:
    """A wrong setting of the queue, two places for keys, a queue before a folder: each with its line."""
    path = tmp_path / "issuing.toml"
    (tmp_path / "client.jwks").write_text(json.dumps(make_key("ES256", kid="c").public().as_dict()))
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(RapidJWSError) as refused:
        load_issuing(path)
    assert place in str(refused.value), str(refused.value)


class Denying:
    """A client of KMS that lacks rights, as an account's policy may."""

    def __init__(self, real: Any, denied: set[str]) -> None:
        self.real, self.denied = real, denied

    def __getattr__(self, name: str) -> Any:
        """Return a call, or one that is refused."""

        def call(**given: Any) -> Any:
            from botocore.exceptions import ClientError

            if name in self.denied:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "canary"}}, name)
            return getattr(self.real, name)(**given)

        return call


@pytest.mark.parametrize("right", ["get_public_key", "sign"])
def test_a_key_that_cannot_be_used_is_not_published_and_made_once(kms: Any, right: str) -> None:
    """A right that is missing shows before a key is published, and KMS gets one key for all tries."""
    client = Denying(kms, {right})
    maker = AwsKmsKeyMaker(["eu-west-1"], client_for=lambda region: client)
    keys = KeyLifeCycle(MemoryStateStore(), KeyTiming(), maker, clock=FakeClock())
    before = len(kms.list_keys()["Keys"])
    for _ in range(3):
        with pytest.raises(RapidJWSError) as refused:
            keys.tick()
        assert refused.value.code == "signer_refused"
        assert keys.state().keys == ()
    client.denied.clear()
    keys.tick()
    assert [one.stage for one in keys.state().keys] == ["next"]
    assert len(kms.list_keys()["Keys"]) == before + 1


@pytest.mark.parametrize("ask", ["tick", "promote", "taint"])
def test_a_key_that_lost_its_right_replaces_none_that_signs(kms: Any, ask: str) -> None:
    """Neither schedule nor hand lets a key sign that cannot; the active one goes on."""
    clock, client = FakeClock(), Denying(kms, set())
    maker = AwsKmsKeyMaker(["eu-west-1"], client_for=lambda region: client)
    keys = KeyLifeCycle(MemoryStateStore(), KeyTiming(), maker, schedule=Schedule("every hour"), clock=clock)
    for _ in range(3):
        keys.tick()
        clock.advance(keys.timing.before_s)
    before = keys.state()
    active = before.in_stage("active")[0].kid
    clock.advance(7200)
    client.denied.add("sign")
    act = {"tick": keys.tick, "promote": keys.promote, "taint": lambda: keys.taint(active, "lost")}[ask]
    with pytest.raises(RapidJWSError) as refused:
        act()
    assert refused.value.code == "signer_refused"
    assert f"kid {before.in_stage('next')[0].kid}" in str(refused.value)
    assert keys.state().keys == before.keys
    keys.taint(active, "a stranger has it", unready=True)  # no token is better than a stranger's
    assert keys.state().key(active).stage == "tainted"
