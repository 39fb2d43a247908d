"""The copy of an issuer's documents in S3 behind CloudFront, against moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle
from mocked_aws import mocked_aws

from rapidjws import RapidJWSError
from rapidjws.config.issuing_file import load_issuing
from rapidjws.issuing import (
    Announcer,
    CloudFrontInvalidation,
    Consumer,
    IssuingState,
    KeyLifeCycle,
    MemoryStateStore,
    Publication,
    S3Copy,
    rotate_in_emergency,
)
from rapidjws.testing import FakeClock

ISS = "https://issuer.example/tenant"
BUCKET = "issuer-keys"
JWKS = "a/tenant/.well-known/jwks.json"
ORIGIN = {"Id": "o", "DomainName": "x.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}


class Aws:
    """S3 and CloudFront by moto, in this process."""

    def __init__(self, boto3: Any) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.cloudfront = boto3.client("cloudfront", region_name="us-east-1")
        behavior = {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "https-only",
            "MinTTL": 0,
            "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
        }
        made = self.cloudfront.create_distribution(
            DistributionConfig={"CallerReference": "r", "Comment": "", "Enabled": True,
                                "Origins": {"Quantity": 1, "Items": [ORIGIN]},
                                "DefaultCacheBehavior": behavior}
        )  # fmt: skip
        self.distribution = made["Distribution"]["Id"]
        self.restore()

    def restore(self) -> None:
        """Make the bucket."""
        self.s3.create_bucket(Bucket=BUCKET)

    def lose(self) -> None:
        """Take the bucket away."""
        for one in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.s3.delete_object(Bucket=BUCKET, Key=one["Key"])
        self.s3.delete_bucket(Bucket=BUCKET)

    def kids(self) -> list[str]:
        """Return the kids of the JWK Set in the bucket."""
        found = json.load(self.s3.get_object(Bucket=BUCKET, Key=JWKS)["Body"])
        return [one["kid"] for one in found["keys"]]

    def invalidated(self) -> list[set[str]]:
        """Return the paths of each invalidation, the newest first."""
        listed = self.cloudfront.list_invalidations(DistributionId=self.distribution)["InvalidationList"]
        found = []
        for one in listed.get("Items", []):
            whole = self.cloudfront.get_invalidation(DistributionId=self.distribution, Id=one["Id"])
            found.append(set(whole["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]))
        return found


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Give S3 and CloudFront."""
    with mocked_aws("s3") as boto3:
        yield Aws(boto3)


def copied(aws: Aws, maker: CountingMaker, store: MemoryStateStore) -> tuple[FakeClock, KeyLifeCycle]:
    """Return an issuer that keeps a copy."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock, maker=maker, store=store)
    issuer.keep_copy(
        S3Copy(Publication(issuer, ISS), BUCKET, prefix="a/", client=aws.s3,
               invalidate=CloudFrontInvalidation(aws.distribution, client=aws.cloudfront))
    )  # fmt: skip
    return clock, issuer


def code_of(call: Any) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(RapidJWSError) as caught:
        call()
    return caught.value.code


def test_the_copy_has_a_key_before_the_state_has_it(aws: Aws) -> None:
    """Each new key is in the bucket when the state is written, with its type, max-age and an invalidation."""
    seen: list[tuple[set[str], set[str]]] = []

    class Watched(MemoryStateStore):
        """A store that looks at the bucket while it is written."""

        def swap(self, before: IssuingState, after: IssuingState) -> None:
            """Compare."""
            seen.append(({one.kid for one in after.published()}, set(aws.kids())))
            super().swap(before, after)

    clock, issuer = copied(aws, CountingMaker(), Watched())
    for _ in range(3):
        issuer.tick()
        clock.advance(TIMING.before_s)
    issuer.promote()
    issuer.tick()
    assert all(published <= lying for published, lying in seen)
    assert set(aws.kids()) == {one.kid for one in issuer.state().published()}
    found = aws.s3.get_object(Bucket=BUCKET, Key=JWKS)
    assert found["ContentType"] == "application/jwk-set+json"
    assert found["CacheControl"] == "public, max-age=300"
    assert f"/{JWKS}" in aws.invalidated()[0]
    count = len(aws.invalidated())
    issuer.tick()
    assert len(aws.invalidated()) == count  # what is unchanged is not written


def test_a_bucket_that_is_gone_publishes_no_key(aws: Aws) -> None:
    """Nothing is changed while the copy cannot be written, one key is made, and all goes on afterwards."""
    maker, store = CountingMaker(), MemoryStateStore()
    clock, issuer = copied(aws, maker, store)
    aws.lose()
    for _ in range(3):
        assert code_of(issuer.tick) == "key_copy_unavailable"
        clock.advance(5)
    assert store.read() == IssuingState()
    aws.restore()
    issuer.tick()
    assert aws.kids() == ["es256-0"]
    clock.advance(TIMING.before_s)
    aws.lose()
    assert code_of(issuer.tick) == "key_copy_unavailable"
    assert [one.stage for one in store.read().keys] == ["next"]


def test_an_emergency_says_that_the_copy_lags_and_the_leader_mends_it(aws: Aws) -> None:
    """A key is tainted whatever the bucket does; the stage failed, and a tick takes the key out later."""
    clock, issuer = copied(aws, CountingMaker(), MemoryStateStore())
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s)
    consumer = Consumer(name="c", url="https://c.example/hook", secret="s" * 32)
    announcer = Announcer(ISS, [consumer], lambda *_: (200, b'{"status":"known"}'))
    aws.lose()
    report = rotate_in_emergency(issuer, announcer, "es256-0", "leaked", issuer=ISS)
    assert [(one.name, one.failed) for one in report.stages][:2] == [("replaced", False), ("uploaded", True)]
    assert issuer.state().key("es256-0").stage == "tainted"
    aws.restore()
    issuer.tick()
    assert "es256-0" not in aws.kids()
    report = rotate_in_emergency(issuer, announcer, aws.kids()[0], "drill", issuer=ISS)
    assert report.is_complete
    assert set(aws.kids()) == {one.kid for one in issuer.state().published()}


def test_a_file_names_the_bucket(aws: Aws, tmp_path: Path) -> None:
    """`s3_bucket` and its settings keep a copy; the others without it, and a wrong prefix, are refused."""
    (tmp_path / "keys").mkdir()
    head = f'[issuing]\nissuer = "{ISS}"\nstate_file = "keys.json"\nkey_folder = "keys"\n[publication]\n'
    path = tmp_path / "issuing.toml"
    path.write_text(
        f'{head}s3_bucket = "{BUCKET}"\ns3_prefix = "a/"\ns3_region = "us-east-1"\n'
        f'cloudfront_distribution = "{aws.distribution}"\n'
    )
    load_issuing(path).life_cycle.tick()
    assert len(aws.kids()) == 1
    for name, wrong in (
        ("s3_prefix", 's3_prefix = "a"\n'),
        ("cloudfront_distribution", 'cloudfront_distribution = "x"\n'),
        ("s3_bucket", f's3_bucket = "{BUCKET}"\ns3_prefix = "/a"\n'),
        ("s3_bucket", f's3_bucket = "{BUCKET}"\ns3_region = "no region"\n'),
    ):
        path.write_text(head + wrong)
        with pytest.raises(RapidJWSError) as refused:
            load_issuing(path)
        assert f":6: publication.{name}" in str(refused.value)
