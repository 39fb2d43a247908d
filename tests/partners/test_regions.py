"""Comparing one JWK Set at several addresses: which differ, and which lags."""

from __future__ import annotations

import json
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from thread_faults import failing_starts
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.contract.fetch import Fetched
from rapidjws.contract.regions import answer_of, compare
from rapidjws.testing import Fault, FaultyIssuerServer, make_key

KEYS = {name: make_key("ES256", kid=name).public().as_dict() for name in ("a", "b", "c")}
OTHER_A = make_key("ES256", kid="a").public().as_dict()
NOW_S = 1_790_000_000.0


def got(*kids: str, headers: dict[str, str] | None = None, **found: Any) -> Fetched:
    """Return an answer with keys, at the address that its region will have."""
    body = json.dumps({"keys": [KEYS[kid] for kid in kids]}).encode()
    return Fetched(
        url="https://a.example", **{"status": 200, "headers": headers or {}, "body": body, **found}
    )


def compared(**answers: Fetched) -> Any:
    """Compare answers by region."""
    return compare([answer_of(name, one) for name, one in answers.items()])


def dated(age_s: float, *, modified_s: float | None = None, **more: str) -> dict[str, str]:
    """Return the headers of an answer that a cache has had for some seconds."""
    found = {"date": formatdate(NOW_S, usegmt=True), "age": str(int(age_s)), **more}
    return found if modified_s is None else {**found, "last-modified": formatdate(modified_s, usegmt=True)}


def codes(found: Any) -> list[tuple[str, str]]:
    """Return where and what was found."""
    return [(one.place, one.code) for one in found.findings if one.level != "note"]


def test_K_the_same_keys_in_another_order_are_the_same() -> None:
    """Neither the order of the keys nor another ETag makes two sets differ."""
    found = compared(one=got("a", "b", headers={"etag": "1"}), two=got("b", "a", headers={"etag": "2"}))
    assert found.is_same
    assert found.lagging == {}
    assert [one.code for one in found.findings] == ["other_etag"]


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")], ids=["old first", "new first"])
def test_K_the_older_copy_lags(order: tuple[str, str]) -> None:
    """By Last-Modified, else by Date less Age, the older of two sets is named with what it lacks."""
    for old_headers, new_headers, why in [
        (dated(0, modified_s=NOW_S - 900), dated(0, modified_s=NOW_S - 60), "Last-Modified"),
        (dated(600), dated(3), "Age"),
    ]:
        made = {"old": got("a", "b", headers=old_headers), "new": got("b", "c", headers=new_headers)}
        found = compared(**{name: made[name] for name in order})
        assert not found.is_same
        assert list(found.lagging) == ["old"]
        assert why in found.lagging["old"]
        (finding,) = [one for one in found.findings if one.level == "error"]
        assert (finding.place, finding.code) == ("old", "other_keys")
        assert "missing c; extra a, compared with new" in finding.text


def test_K_most_addresses_decide_without_dates() -> None:
    """Without dates the one that differs from most lags; with one against one nothing tells."""
    found = compared(one=got("a", "b"), two=got("a"), three=got("b", "a"))
    assert list(found.lagging) == ["two"]
    found = compared(one=got("a", "b"), two=got("a"))
    assert found.lagging == {}
    assert not found.is_same
    assert ("all", "newest_unknown") in codes(found)


def test_K_dates_that_are_close_tell_nothing() -> None:
    """Answers that were made within moments of one another do not tell which is the newer."""
    found = compared(one=got("a", headers=dated(0)), two=got("b", headers=dated(4)))
    assert found.lagging == {}


def test_K_other_material_under_one_kid() -> None:
    """Two keys under one name are distinguished by their thumbprints, and named as such."""
    body = json.dumps({"keys": [OTHER_A]}).encode()
    found = compared(one=got("a"), two=got("a"), three=got(body=body))
    assert codes(found) == [("three", "other_material")]
    assert "other key under a" in found.findings[0].text


def test_K_what_is_no_set_is_named() -> None:
    """An address without an answer, with an error page, or without a key is an error with its reason."""
    found = compared(
        good=got("a"), down=got(fault="ConnectionRefusedError"), page=got(body=b"<html>"), empty=got()
    )
    assert codes(found) == [("down", "no_keys"), ("page", "no_keys"), ("empty", "no_keys")]
    assert "jwks_malformed" in found.findings[1].text
    assert found.lagging == {}


def test_K_what_caches_do_is_noted() -> None:
    """A copy that a cache had for longer than it may, and another Cache-Control, are warnings."""
    usual = {"cache-control": "max-age=300", "etag": "x"}
    found = compared(
        one=got("a", headers=usual),
        two=got("a", headers={**usual, "age": "4000"}),
        three=got("a", headers={**usual, "cache-control": "no-store"}),
    )
    assert codes(found) == [("two", "past_its_life"), ("three", "other_cache_control")]
    assert found.is_same


@pytest.mark.parametrize(
    "headers",
    [{"age": "x" * 50, "date": "yesterday"}, {"age": "-1"}, {"date": "Mon, 99 Foo 0000"}, {"age": "9" * 300}],
    ids=["words", "negative", "no date", "long"],
)
def test_K_headers_that_cannot_be_read_are_none(headers: dict[str, str]) -> None:
    """What a server sends as Age and Date never raises, and tells nothing where it is none."""
    one = answer_of("one", got("a", headers=headers))
    assert (one.age_s, one.made_s) == (None, None)


def run(*words: object) -> tuple[int, str]:
    """Run a command; return its status and all it wrote."""
    found = CliRunner().invoke(app, ["keys", "compare", *map(str, words)], env={"COLUMNS": "200"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def test_K_keys_compare_asks_regions(tmp_path: Path) -> None:
    """The command asks each address, names the region that lags, by its exit status and in JSON too."""
    with (
        FaultyIssuerServer("https://east.example") as east,
        FaultyIssuerServer("https://west.example", plain=True) as west,
    ):
        (tmp_path / "ca.pem").write_text(east.ca_pem)
        west.published = list(east.published)
        east.headers |= {"Last-Modified": formatdate(NOW_S, usegmt=True)}
        west.headers |= {"Last-Modified": formatdate(NOW_S, usegmt=True)}
        words = ("--region", f"east={east.url}", "--region", f"west={west.url}", "--ca", tmp_path / "ca.pem")
        status, text = run(*words)
        assert status == 0, text
        assert "the same keys at all 2 addresses" in text
        kid = east.rotate()
        east.headers |= {"Last-Modified": formatdate(NOW_S + 60, usegmt=True)}
        status, text = run(*words)
        assert status == 1, text
        assert "lags: west: an older Last-Modified" in text
        assert f"missing {kid}" in text
        status, text = run(*words, "--json")
        found = json.loads(text)
        assert (status, found["same"], list(found["lagging"])) == (1, False, ["west"])
        assert found["answers"][0]["keys"].keys() == {one["kid"] for one in east.published}
        west.always(Fault(status=503))
        status, text = run(*words)
        assert (status, "west: no keys: status 503" in text) == (1, True)
        config = tmp_path / "c.json"
        table = {"iss": "https://east.example", "jwks_url": east.url, "ca": "ca.pem", "algorithms": ["ES256"],
                 "audience": "x"}  # fmt: skip
        config.write_text(json.dumps({"issuers": [table]}))
        named = ("--config", config, "--issuer", "https://east.example")
        assert run(*named, east.url, "--json")[0] == 0
        assert run(*named)[0] == 2
        assert run("--config", config, "--issuer", "https://x.example", east.url)[0] == 2
        assert run("--config", config, east.url)[0] == 2
    assert run("https://a.example")[0] == 2
    assert run("https://a.example", "https://a.example")[0] == 2
    assert run("--region", "a", "--region", "b=https://a.example")[0] == 2


def test_K_regions_are_asked_without_threads() -> None:
    """Where no thread can be had, addresses are asked one after the other."""
    with (
        FaultyIssuerServer("https://one.example", plain=True) as one,
        FaultyIssuerServer("https://two.example", plain=True) as two,
    ):
        two.published = list(one.published)
        with failing_starts(lambda number: True, only="rapidjws_"):
            assert run(one.url, two.url)[0] == 0
