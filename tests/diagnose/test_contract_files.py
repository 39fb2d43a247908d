"""Partner files that are hostile or broken: each fault is a line of the report, no command raises (S25)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwcrypto_partner
import pytest

from rapidjws.contract import check as check_module
from rapidjws.contract import kit
from rapidjws.contract.check import ContractReport, check
from rapidjws.contract.publish import publish, to_html, to_markdown
from rapidjws.contract.samples import send
from rapidjws.errors import ConfigurationError

CONTRACT = kit.Contract(
    partner="acme", our_iss="https://us.example", our_audience="acme", their_iss="https://acme.example",
    their_audience="us",
)  # fmt: skip
ROUNDS = 150
FILES = ("theirs/samples.json", "theirs/verdicts.json", "theirs/jwks.json", "ours/samples.json")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**400, -(10**400), 1.5, 1e308, -1e-300, "", "x" * 5000, "\x1b[31m", "\u202e",
    [], {},
    [[[[]]]], {"keys": None}, "accepted", "refused", ["accepted"], {"name": {}}, "1e999",
)  # fmt: skip
TEXTS = (
    b"", b"null", b"NaN", b"[NaN]", b"[1e999]", b'{"a":1,"a":2}', b'["\\ud800"]', b"\xff\xfe[]", b"<html>",
    b"[" * 5000, b'{"keys":[{"kty":"RSA","n":"AA"}]}',
    b'[{"name":"a","token":"t","expect":"accepted","check_at":1e999}]',
    b'[{"name":"a","token":"t","expect":"accepted","check_at":' + b"9" * 5000 + b"}]",
    b'[{"name":"a\\u001b[31m","token":"t","expect":"accepted"}]',
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in which a partner has done everything right, without the checklist's own work."""
    kit.init(tmp_path, CONTRACT)
    send(tmp_path)
    jwcrypto_partner.run("sign", tmp_path)
    jwcrypto_partner.run("verify", tmp_path)
    monkeypatch.setattr(check_module, "walk", lambda *_: [])
    return tmp_path


def checked(folder: Path) -> ContractReport:
    """Check a folder, write all reports, and hold that every line of them is printable."""
    report = check(folder)
    assert publish(folder, report)
    assert all(line.isprintable() for line in to_markdown(report).split("\n"))
    assert "\x1b" not in to_html(report, "a.b.c")
    assert all(item.title.isprintable() and item.detail.isprintable() for item in report.items)
    return report


def failed(report: ContractReport) -> list[str]:
    """Return the details of what failed."""
    return [item.detail for item in report.items if item.status == "fail"]


def test_S25_good_folder(folder: Path) -> None:
    """A sound folder has no fault of a file."""
    assert failed(checked(folder)) == []


@pytest.mark.parametrize("name", FILES)
def test_S25_every_fault_is_a_line(name: str, folder: Path) -> None:
    """A file that cannot be read, or holds something else, is a failing line that names it."""
    for octets in TEXTS:
        (folder / name).write_bytes(octets)
        assert any(name in detail for detail in failed(checked(folder))), (name, octets[:40])


@pytest.mark.parametrize("name", FILES)
def test_S25_no_file_but_a_file(name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link, a folder, a pipe and a file past the limit are refused without waiting or reading them."""
    path, kept = folder / name, tmp_path_factory.mktemp("kept") / "file"
    kept.write_bytes(path.read_bytes())
    most = 8 * 1024 * 1024
    makers: list[tuple[str, Callable[[], Any]]] = [
        ("cannot be opened", lambda: path.symlink_to(kept)),
        ("is no regular file", path.mkdir),
        ("is no regular file", lambda: os.mkfifo(path)),
        ("is larger than", lambda: path.write_bytes(kept.read_bytes().ljust(most + 1))),
    ]
    for words, make in makers:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        make()
        assert any(name in detail and words in detail for detail in failed(checked(folder))), words
    path.write_bytes(kept.read_bytes().ljust(most))
    assert not any("is larger than" in detail for detail in failed(checked(folder)))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"check_at": 10**30}, "check_at"),
        ({"check_at": -1}, "check_at"),
        ({"check_at": True}, "check_at"),
        ({"check_at": "1"}, "check_at"),
        ({"check_at": 253402300800}, "check_at"),
        ({"expect": "valid"}, "expect"),
        ({"expect": ["accepted"]}, "expect"),
        ({"name": 5}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"token": None}, "token"),
        ({"token": "x" * (256 * 1024 + 1)}, "token"),
        ({"why": 7}, "why"),
    ],
)
def test_S25_faults_of_a_sample(change: dict[str, Any], place: str, folder: Path) -> None:
    """Each member of a sample is checked for type and range; the sound samples are judged all the same."""
    path = folder / "theirs" / "samples.json"
    samples = json.loads(path.read_bytes())
    bad = {**samples[0], "name": "bad", **change}
    path.write_text(json.dumps([*samples, bad]), "utf-8")
    report = checked(folder)
    assert len(failed(report)) == 1
    assert f"theirs/samples.json[{len(samples)}].{place}" in failed(report)[0]
    assert sum(item.group == "theirs" and item.status == "pass" for item in report.items) == len(samples)


@pytest.mark.parametrize("at", [0, 253402300799, 1.5])
def test_S25_dates_at_the_bounds(at: float, folder: Path) -> None:
    """The first and last date of the range are taken."""
    path = folder / "theirs" / "samples.json"
    samples = json.loads(path.read_bytes())
    path.write_text(json.dumps([{**samples[0], "check_at": at, "expect": "refused"}]), "utf-8")
    assert not any("check_at" in detail for detail in failed(checked(folder)))


def test_S25_our_samples_are_what_we_sent(folder: Path) -> None:
    """A partner that turns our expectations round, or leaves samples away, is found out."""
    path = folder / "ours" / "samples.json"
    samples = json.loads(path.read_bytes())
    for other in ([{**one, "expect": "accepted"} for one in samples], samples[:1]):
        path.write_text(json.dumps(other), "utf-8")
        (folder / "theirs" / "verdicts.json").write_text(
            json.dumps({one["name"]: one["expect"] for one in other}), "utf-8"
        )
        assert any("is not what" in detail for detail in failed(checked(folder)))
    path.unlink()
    assert failed(checked(folder))


@pytest.mark.parametrize(
    "change",
    [
        {"leeway_s": -1}, {"leeway_s": 86_401}, {"leeway_s": "60"}, {"leeway_s": True}, {"lifetime_s": 0},
        {"partner": "a\x1b[31m"}, {"partner": None}, {"algorithms": []}, {"algorithms": "ES256"},
        {"algorithms": ["none"]},
        {"algorithms": [["ES256"]]}, {"jwks_url": "file:///etc/passwd"}, {"jwks_url": 5},
        {"attested": {"x": "y"}},
        {"attested": {"rollback_tested": 1}}, {"temporary_until": 10**30}, {"surprise": 1}, {"version": 2},
        {"publish_before_use_s": 1e5}, {"their_iss": ""},
    ],
    ids=repr,
)  # fmt: skip
def test_S25_contract_is_checked(change: dict[str, Any], folder: Path) -> None:
    """A contract of another shape is refused in one line that names the member."""
    path = folder / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}), "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        check(folder)
    assert refused.value.code == "configuration_invalid"
    assert str(refused.value).isprintable()


def test_S25_fuzz(folder: Path) -> None:
    """Whatever stands anywhere in a partner's files, the check ends with a report or one line."""
    seed = int(os.environ.get("RAPIDJWS_SEED", "25"))
    chance = random.Random(seed)
    kept = {name: (folder / name).read_bytes() for name in (*FILES, "contract.json")}
    for round_ in range(ROUNDS):
        for name, octets in kept.items():
            (folder / name).write_bytes(octets)
        name = chance.choice(list(kept))
        (folder / name).write_bytes(mutated(chance, kept[name]))
        try:
            checked(folder)
        except ConfigurationError:
            assert name == "contract.json", (seed, round_)


def mutated(chance: random.Random, octets: bytes) -> bytes:
    """Return a document with one value replaced, or with its octets damaged."""
    how = chance.randrange(4)
    if how == 0:
        at = chance.randrange(len(octets))
        return octets[:at] + chance.randbytes(chance.randrange(4)) + octets[at + chance.randrange(4) :]
    if how == 1:
        return octets[: chance.randrange(len(octets))]
    value = json.loads(octets)
    replace(chance, value)
    return json.dumps(value).encode()


def replace(chance: random.Random, value: Any) -> None:
    """Replace something somewhere in a value."""
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not places:
        return
    at = chance.choice(places)
    inner = value[at]
    if isinstance(inner, (dict, list)) and inner and chance.random() < 0.7:
        replace(chance, inner)
    else:
        value[at] = chance.choice(VALUES)


def test_S25_reports_are_not_written_through_links(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A link that a partner put where a report goes is replaced; what it pointed to stays as it was."""
    victim = tmp_path_factory.mktemp("victim") / "file"
    victim.write_text("mine", "utf-8")
    for name in ("report.json", "report.md", "report.html", "report.jws", "report_key.json"):
        (folder / name).symlink_to(victim)
    (folder / "ours" / "samples.json").unlink()
    (folder / "ours" / "samples.json").symlink_to(victim)
    send(folder)
    checked(folder)
    assert victim.read_text("utf-8") == "mine"
    assert not (folder / "report.json").is_symlink()
