"""Bounds of what operators set, and of what is read from files and issuers: one below, at, and one above."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from bounds import around, code
from tokens import NOW_S, issuer, public

from rapidjws import Engine, Verifier, _files
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S
from rapidjws.keys import RotatedHook, last_good
from rapidjws.keys.fetch import location_host
from rapidjws.keys.headers import etag_of, retry_after_s, stated_life_s
from rapidjws.keys.settings import Freshness, Transport
from rapidjws.middleware import verify_webhook
from rapidjws.middleware.signed_body import SignedBody
from rapidjws.rollout import Partner
from rapidjws.rollout.plan import Stage
from rapidjws.sidecar.settings import ServerSettings

INVALID = "configuration_invalid"
SECRET = "s" * 32


@pytest.mark.parametrize(
    ("name", "least", "most"), [("micro_batch_us", 0, 100_000), ("workers", 1, 256), ("skew_every", 0, None)]
)
def test_settings_of_an_engine(name: str, least: int, most: int | None) -> None:
    """Each number of an engine at both of its ends."""

    def of(value: int) -> str:
        return code(Engine, issuer("HS256"), **{name: value})

    assert [of(value) for value in (least - 1, least, least + 1)] == [INVALID, "ok", "ok"]
    if most is not None:
        around(most, of, INVALID)


def test_threads_of_a_verifier() -> None:
    """1 to 256."""

    def of(value: int) -> str:
        return code(Verifier, public("HS256"), algorithms=["HS256"], workers=value)

    assert [of(value) for value in (0, 1)] == [INVALID, "ok"]
    around(256, of, INVALID)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("workers", 1, 1024),
        ("max_header_bytes", 1, None),
        ("max_body_bytes", 1, None),
        ("max_connections", 1, None),
        ("drain_s", None, 3600),
        ("max_delay_s", 0, 10),
        ("header_timeout_s", None, 3600),
        ("idle_timeout_s", None, 3600),
        ("worker_timeout_s", None, 3600),
        ("ready_timeout_s", 0, 3600),
    ],
)
def test_settings_of_the_sidecar(name: str, least: int | None, most: int | None) -> None:
    """Each number of the server's section at both of its ends."""

    def of(value: float) -> str:
        return code(ServerSettings, **{name: value})

    if least is None:
        assert [of(value) for value in (-1.0, 0.0, 0.001)] == [INVALID, INVALID, "ok"]
    else:
        assert [of(value) for value in (least - 1, least, least + 1)] == [INVALID, "ok", "ok"]
    if most is not None:
        around(most, of, INVALID)


def test_secrets_and_ports_of_the_sidecar() -> None:
    """A secret has 32 characters or more; a port goes up to 65 535."""

    def port(number: int) -> str:
        return code(ServerSettings, listen=f"127.0.0.1:{number}")

    around(65_535, port, INVALID)
    for name in ("admin_token", "hook_secret"):
        codes = [code(ServerSettings, **{name: "s" * length}) for length in (31, 32, 33)]
        assert codes == [INVALID, "ok", "ok"]
        assert code(ServerSettings, **{name: "s" * 40 + "\n"}) == INVALID
    assert [code(RotatedHook, {}, secret="s" * length) for length in (31, 32, 33)] == [INVALID, "ok", "ok"]


def test_body_of_a_push() -> None:
    """4 096 bytes."""

    class Pushed:
        def invalidate(self) -> None:
            """Do nothing."""

    hook = RotatedHook({"a": Pushed()}, secret=SECRET)
    whole = b'{"issuer": "a"}'
    found = [hook.handle("POST", f"Bearer {SECRET}", whole.ljust(size))[0] for size in (4095, 4096, 4097)]
    assert found == [202, 202, 400]
    nobody = b'{"issuer": "b"}'
    assert hook.handle("POST", f"Bearer {SECRET}", nobody.ljust(4096))[0] == 404


def test_url_of_an_issuer() -> None:
    """2 048 characters, printable."""
    transport = Transport()

    def of(length: int) -> str:
        return code(transport.check_url, "https://a.example/".ljust(length, "k"))

    around(2048, of, INVALID)
    assert code(transport.check_url, "") == INVALID


def test_headers_of_an_answer() -> None:
    """An ETag of 1 to 512 characters, a host of 253, seconds up to a thousand million."""
    kept = [etag_of({"etag": "e" * length}) for length in (0, 1, 511, 512, 513)]
    assert [etag and len(etag) for etag in kept] == [None, 1, 511, 512, None]
    for length, is_shown in [(1, True), (252, True), (253, True), (254, False)]:
        host = ("a" * 49 + ".") * 5
        host = host.ljust(length, "b")[:length].removesuffix(".")
        assert (location_host(f"https://{host}/x") == host) == is_shown, length


def test_life_of_an_answer() -> None:
    """max-age less Age, never below zero, never for ever."""
    for control, age, expected in [
        ("max-age=100", "99", 1.0),
        ("max-age=100", "100", 0.0),
        ("max-age=100", "101", 0.0),
        ("max-age=999999999", "", 999_999_999.0),
        ("max-age=1000000000", "", 1e9),
        ("max-age=1000000001", "", 1e9),
        ("max-age=" + "9" * 400, "", 1e9),
        ("max-age=60, max-age=50", "", 50.0),
        ("max-age=60, no-store", "", 0.0),
        ("no-cache", "", 0.0),
        ("public", "", None),
    ]:
        assert stated_life_s({"cache-control": control, "age": age}) == expected, control
    for text, expected in [("0", 0.0), ("1000000001", 1e9), ("1000000000", 1e9), ("-1", None), ("1.5", None)]:
        assert retry_after_s(text, NOW_S) == expected
    date = "Fri, 15 Jan 2027 08:00:00 GMT"  # NOW_S
    assert [retry_after_s(date, NOW_S + step) for step in (-1, 0, 1)] == [1.0, 0.0, 0.0]


def test_size_of_a_trusted_file(tmp_path: Path) -> None:
    """A file may have exactly its limit; one that grows while it is read is held to it as well."""
    path = tmp_path / "file"

    def of(size: int) -> str:
        path.write_bytes(b"x" * size)
        try:
            return "ok" if len(_files.read_trusted(path, 1000)) == size else "cut"
        except _files.FileRefused as refused:
            return refused.reason

    around(1000, of, "too_large")
    assert of(0) == "ok"


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is looked at before, and counted again while reading."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    read = os.read

    def growing(descriptor: int, count: int) -> bytes:
        if path.stat().st_size < size:
            with path.open("ab") as file:
                file.write(b"y" * (size - 10))
        return read(descriptor, count)

    monkeypatch.setattr(_files.os, "read", growing)
    for size, expected in ((999, "ok"), (1000, "ok"), (1001, "too_large")):
        path.write_bytes(b"x" * 10)
        try:
            found = "ok" if len(_files.read_trusted(path, 1000)) == size else "cut"
        except _files.FileRefused as refused:
            found = refused.reason
        assert found == expected, size


def test_age_of_a_kept_set(tmp_path: Path) -> None:
    """From a minute ahead of the clock to exactly the oldest age."""
    path = tmp_path / "kept.json"
    url = "https://a.example/jwks"
    for ahead, is_used in [(61, False), (60, True), (59, True), (-999, True), (-1000, True), (-1001, False)]:
        last_good.write(path, url, last_good.LastGood(b'{"keys": []}', None, float(NOW_S + ahead)))
        kept = last_good.read(path, url, now_s=NOW_S, max_age_s=1000, max_bytes=4096)
        assert (kept is not None) == is_used, ahead
        other = last_good.read(path, url + "2", now_s=NOW_S, max_age_s=1000, max_bytes=4096)
        assert other is None


def test_what_makes_up_freshness() -> None:
    """Each of the bounds that belong together may equal the other, and not pass it."""
    for changes in (
        {"min_ttl_s": 100.0, "max_ttl_s": 100.0},
        {"max_ttl_s": 3600.0, "stale_limit_s": 3600.0},
        {"retry_min_s": 5.0, "retry_max_s": 5.0},
        {"refresh_at": 1.0},
    ):
        assert code(Freshness, **changes) == "ok", changes
        largest, value = list(changes.items())[-1]
        if largest == "refresh_at":
            assert code(Freshness, refresh_at=math.nextafter(1.0, 2.0)) == INVALID
        else:
            assert code(Freshness, **{**changes, largest: value - 0.001}) == INVALID, changes


def test_numbers_of_a_partner_and_a_stage() -> None:
    """A partner's leeway, dates up to the year 9999, a canary's share above 0 to 100."""

    def partner(**options: Any) -> str:
        return code(Partner, name="a", **options)

    around(86_400, lambda value: partner(leeway_s=value), INVALID)
    assert [partner(leeway_s=value) for value in (-1, 0)] == [INVALID, "ok"]
    around(NUMERIC_DATE_MAX_S, lambda value: partner(allow_listed_until_s=value), INVALID)
    assert [partner(allow_listed_until_s=value) for value in (-1, 0)] == [INVALID, "ok"]
    listed = Partner(name="a", allow_listed_until_s=NOW_S)
    assert [listed.is_allow_listed(NOW_S + step) for step in (-1, 0, 1)] == [True, False, False]

    def share(value: float) -> str:
        return code(Stage, phase="enforcement", before="warning", canary_percent=value)

    assert [share(value) for value in (-1, 0, 5e-324, 100)] == [INVALID, INVALID, "ok", "ok"]
    assert share(math.nextafter(100, 101)) == INVALID


def test_size_of_a_signed_body() -> None:
    """As given, at least one byte."""
    verifier = Verifier(public("HS256"), algorithms=["HS256"])
    assert [code(SignedBody, verifier=verifier, max_bytes=value) for value in (0, 1)] == [INVALID, "ok"]

    for size, expected in [(999, False), (1000, False), (1001, True)]:
        headers = {"x-jws-signature": "e30..AAAA"}
        decision = verify_webhook(verifier, body=b"x" * size, headers=headers, max_body_bytes=1000)
        assert (decision.code == "too_large") == expected, size
