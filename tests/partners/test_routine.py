"""The weekly look: ages, ends and use of keys, lifetimes, and error rates against the weeks before."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from certified import CertifiedKey
from rollouts import ask, engine, forged, good, rollout
from thread_faults import failing_starts
from typer.testing import CliRunner

from rapidjws.cli import configured_keys
from rapidjws.cli.app import app
from rapidjws.config.issuer_folder import issuer_file_name
from rapidjws.contract.routine import DAY_S, Limits, RoutineFinding, in_order
from rapidjws.contract.routine_keys import (
    REMEMBERED_MAX,
    KeyMemory,
    PublishedKey,
    SeenKey,
    key_findings,
    published_keys,
    withdrawn_findings,
)
from rapidjws.contract.routine_traffic import traffic_findings, traffic_members
from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.counters import HOUR_S, Counts, Row, counts_of
from rapidjws.rollout.measures import LIFETIMES, lifetime_of
from rapidjws.rollout.rollout import first_plan
from rapidjws.testing import Fault, FaultyIssuerServer, make_key

ISS = "https://a.example"
NOW_S = 1_790_000_000.0
LIMITS = Limits()


def key(
    kid: str, age_days: float, *, used_days: float | None = None, ends_days: float | None = None
) -> PublishedKey:
    """Return a published key of some age, last used so many days ago."""
    used = None if used_days is None else (5, int(NOW_S - 90 * DAY_S), int(NOW_S - used_days * DAY_S))
    ends_s = None if ends_days is None else NOW_S + ends_days * DAY_S
    return PublishedKey(
        kid=kid, thumbprint=kid * 8, since_s=NOW_S - age_days * DAY_S, until_s=ends_s, used=used
    )


def codes(*keys: PublishedKey) -> list[tuple[str, str]]:
    """Return level and code of what is said of keys."""
    return [(one.level, one.code) for one in key_findings(ISS, None, list(keys), LIMITS, NOW_S)]


def test_K_a_rotation_that_is_overdue() -> None:
    """The newest key counts: it must not be older than the limit, whatever the older ones are."""
    assert codes(key("a", 91)) == [("warning", "rotation_overdue")]
    assert codes(key("a", 89)) == []
    assert codes(key("a", 400), key("b", 10)) == []


def test_K_a_key_that_ends() -> None:
    """A key past its own end is an error, one close to it a warning, one far from it nothing."""
    assert codes(key("a", 1, ends_days=-1)) == [("error", "key_expired")]
    assert codes(key("a", 1, ends_days=20)) == [("warning", "key_expires")]
    assert codes(key("a", 1, ends_days=22)) == []


def test_K_old_keys_that_are_used_and_that_are_not() -> None:
    """An old key without tokens is to go; one with tokens, long after its successor came, is told of."""
    assert codes(key("a", 80, used_days=31), key("b", 60, used_days=0)) == [("warning", "unused_key")]
    assert codes(key("a", 80, used_days=29), key("b", 60, used_days=0)) == []
    assert codes(key("a", 80), key("b", 60, used_days=0)) == [("warning", "unused_key")]
    assert codes(key("a", 80, used_days=0), key("b", 8)) == [("warning", "old_key_used")]
    assert codes(key("a", 80, used_days=0), key("b", 6)) == []
    assert codes(key("a", 80), key("b", 60)) == []  # nothing is counted: nothing is known


def test_K_a_withdrawn_key_of_which_tokens_come() -> None:
    """A kid that was published at an earlier look, and is used still, is named; a stranger's kid is not."""
    memory = KeyMemory({ISS: {"m": SeenKey(kid="old", first_s=0.0, last_s=NOW_S - 3 * DAY_S)}})

    def found(kid: str, last_days: float, *keys: PublishedKey) -> list[str]:
        unknown = {kid: [7, 0, int(NOW_S - last_days * DAY_S)]}
        return [one.code for one in withdrawn_findings(ISS, list(keys), memory, unknown, NOW_S)]

    assert found("old", 1) == ["withdrawn_key_used"]
    assert found("old", 4) == []  # before it was withdrawn
    assert found("made-up", 1) == []
    assert found("old", 1, key("old", 1)) == []


def test_K_keys_are_remembered_between_looks(tmp_path: Path) -> None:
    """The age of a key counts from the first look that saw it; what its own dates say comes first."""
    path = tmp_path / "memory.json"
    public = make_key("ES256", kid="a").public()
    body = json.dumps({"keys": [public.as_dict()]}).encode()
    memory = KeyMemory.read(path)
    published_keys(ISS, body, memory, {}, NOW_S - 50 * DAY_S)
    memory.write(path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    used = {public.thumbprint()[:16]: [3, 1, 2]}
    (one,) = published_keys(ISS, body, KeyMemory.read(path), used, NOW_S)
    assert one.since_s == NOW_S - 50 * DAY_S
    assert one.used == (3, 1, 2)
    assert one.as_dict(NOW_S)["age_days"] == 50.0
    dated = {**public.as_dict(), "iat": NOW_S - 70 * DAY_S, "exp": NOW_S + DAY_S}
    (one,) = published_keys(ISS, json.dumps({"keys": [dated]}).encode(), KeyMemory.read(path), {}, NOW_S)
    assert (one.since_s, one.until_s) == (NOW_S - 70 * DAY_S, NOW_S + DAY_S)
    assert published_keys(ISS, b"<html>", memory, {}, NOW_S) == []
    for text in ("[]", '{"issuers": {"a": {"b": 1}}}', "{"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r".+"):
            KeyMemory.read(path)


def test_K_the_memory_is_bounded() -> None:
    """An issuer that publishes other keys all the time does not fill the memory."""
    memory = KeyMemory()
    for number in range(REMEMBERED_MAX + 50):
        memory.note(ISS, {f"t{number}": "k"}, NOW_S + number)
    assert len(memory.seen[ISS]) == REMEMBERED_MAX
    assert "t0" not in memory.seen[ISS]


# --- traffic ---


def counted(*weeks: tuple[int, int]) -> Counts:
    """Return evidence of one partner: requests and failed ones of the last week, and of those before."""
    row = Row()
    for back, (total, failed) in enumerate(weeks):
        row.hours[int(NOW_S - (back * 7 + 1) * DAY_S) // HOUR_S] = [total, failed]
    row.codes = {"expired": [1, 1, int(NOW_S)]}
    return Counts(rows={("shop", ""): row})


@pytest.mark.parametrize(
    ("weeks", "expected"),
    [
        ([(1000, 30), (1000, 10), (1000, 10)], ["error_rate_up"]),
        ([(1000, 19), (1000, 10), (1000, 10)], []),
        ([(1000, 6), (1000, 1)], []),
        ([(1000, 7), (1000, 1)], ["error_rate_up"]),
        ([(99, 99), (100, 0)], []),
        ([(400, 0), (1000, 0), (1000, 0)], ["traffic_down"]),
        ([(0, 0), (1000, 0)], ["traffic_down"]),
        ([(1000, 900)], []),
    ],
    ids=["three times", "not twice", "within the step", "beyond the step", "few", "less", "none", "new"],
)
def test_K_error_rates_against_the_weeks_before(weeks: list[tuple[int, int]], expected: list[str]) -> None:
    """A rate has risen where it is twice that of before, and a step above it, of enough requests."""
    policy = rollout(Partner(name="shop"))
    found = [one.code for one in traffic_findings(policy, counted(*weeks), LIMITS, int(NOW_S))]
    assert found == expected


def test_K_what_tokens_are_counted_by() -> None:
    """Key and lifetime of a good token are counted, those of a bad one are not, and files keep both."""
    policy = rollout(Partner(name="ready"))
    one = engine(policy)
    ask(one, good(), "ready")
    ask(one, good(), "ready")
    ask(one, forged(), "ready")
    counts = policy.evidence.counts()
    row = next(row for (name, _), row in counts.rows.items() if name == "ready")
    (used,) = row.keys.values()
    assert used[0] == 2
    assert sum(count for count, _, _ in row.lifetimes.values()) == 2
    assert all(len(name) == 16 for name in row.keys)
    again = counts_of(json.loads(json.dumps(counts.members())))
    assert again.rows.keys() == counts.rows.keys()
    assert next(iter(again.rows.values())).keys == row.keys
    older = counts.members()
    for members in older["rows"]:
        del members["keys"], members["lifetimes"]
    assert next(iter(counts_of(older).rows.values())).lifetimes == {}


@pytest.mark.parametrize(
    ("exp", "iat", "words"),
    [(300, 0, "up to 5 min"), (301, 0, "up to 15 min"), (604_800.5, 0, "over 7 d"), (None, 0, "no end"),
     (1, None, "no end"), (True, 0, "no end"), (86_400, 0, "up to 1 d")],
)  # fmt: skip
def test_K_lifetimes_by_span(exp: Any, iat: Any, words: str) -> None:
    """An edge belongs to the shorter span; what has no end, or no begin, is counted as such."""
    assert lifetime_of(exp, iat) == words
    assert words in LIFETIMES


def test_K_long_lifetimes_are_named() -> None:
    """Tokens that live for longer than a day are named, where they came in the period."""
    policy = rollout(Partner(name="shop"))

    def found(span: str, last_days: float) -> list[str]:
        counts = counted()
        counts.rows["shop", ""].lifetimes = {span: [3, 0, int(NOW_S - last_days * DAY_S)]}
        return [one.code for one in traffic_findings(policy, counts, LIMITS, int(NOW_S))]

    assert found("up to 7 d", 1) == found("over 7 d", 6) == found("no end", 0) == ["long_lifetime"]
    assert found("up to 1 d", 1) == found("over 7 d", 8) == []


def test_K_findings_are_in_order() -> None:
    """What is to be mended now comes first."""
    made = [RoutineFinding(level=level, area="keys", subject="s", code="c", text="t")
            for level in ("note", "warning", "error")]  # type: ignore[arg-type] # fmt: skip
    assert [one.level for one in in_order(made)] == ["error", "warning", "note"]
    assert traffic_members(counted((5, 1)), LIMITS, int(NOW_S))[0]["requests"] == 5


# --- the command ---


def run(*words: object) -> tuple[int, str]:
    """Run the command; return its status and all it wrote."""
    found = CliRunner().invoke(app, ["check", *map(str, words)], env={"COLUMNS": "220"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def configured(folder: Path, issuer: FaultyIssuerServer, **sections: Any) -> Path:
    """Write a configuration with an issuer whose keys are fetched."""
    (folder / "ca.pem").write_text(issuer.ca_pem)
    table = {
        "iss": issuer.iss,
        "jwks_url": issuer.url,
        "ca": "ca.pem",
        "algorithms": ["ES256"],
        "audience": "a",
    }
    path = folder / "c.json"
    path.write_text(json.dumps({"issuers": [table], **sections}))
    return path


def test_K_check_by_its_exit_status(tmp_path: Path) -> None:
    """A first look finds nothing; one months later a rotation that is overdue; a dead address is an error."""
    with FaultyIssuerServer(ISS) as issuer:
        issuer.published = [{**one, "use": "sig"} for one in issuer.published]
        config = configured(tmp_path, issuer, rollout={"state": "state"})
        (tmp_path / "state").mkdir()
        Rollout([], state=StateFolder(tmp_path / "state", first_plan())).freeze(by="ann")
        status, text = run("--config", config)
        assert status == 0, text
        assert "0 errors, 0 warnings" in text
        memory = tmp_path / "state" / "check.json"
        seen = json.loads(memory.read_text())
        for one in seen["issuers"][ISS].values():
            one["first_s"] = time.time() - 100 * DAY_S
        memory.write_text(json.dumps(seen))
        status, text = run("--config", config)
        assert (status, "rotation_overdue" in text) == (1, True)
        assert run("--config", config, "--rotate-after", "101")[0] == 0
        status, text = run("--config", config, "--json", "--period", "month")
        found = json.loads(text)
        assert (status, found["period_days"]) == (1, 30)
        assert found["issuers"][0]["keys"][0]["age_days"] == 100.0
        assert [one["code"] for one in found["findings"] if one["level"] != "note"] == ["rotation_overdue"]
        kept = memory.read_text()
        for damaged in ("", "{", '{"version": 0}', "[" * 5000):
            memory.write_text(damaged)
            status, text = run("--config", config)
            assert (status, "move it away" in text) == (2, True), damaged[:20]
        memory.write_text(kept)
        issuer.always(Fault(status=500))
        status, text = run("--config", config)
        assert (status, "no_answer" in text) == (1, True)
        memory.write_text("{")
        assert run("--config", config)[0] == 2
    assert run("--config", tmp_path / "none.json")[0] == 2
    assert run("--config", config, "--memory", tmp_path / "m.json", "--admin", tmp_path / "none.sock")[0] == 2


def test_K_check_looks_without_threads(tmp_path: Path) -> None:
    """Where no thread can be had, addresses are asked one after the other."""
    with FaultyIssuerServer(ISS) as issuer:
        config = configured(tmp_path, issuer)
        with failing_starts(lambda number: True, only="rapidjws_"):
            status, text = run("--config", config, "--memory", tmp_path / "m.json")
    assert status == 0, text
    assert "no_evidence" in text


# --- sources of every kind ---


def kids_of(text: str) -> dict[str, list[str | None]]:
    """Return issuer -> kids of what was written as JSON."""
    return {one["issuer"]: [key["kid"] for key in one["keys"]] for one in json.loads(text)["issuers"]}


def test_K_check_looks_at_every_kind_of_source(tmp_path: Path) -> None:
    """Keys in files, PEM, pinned roots and behind credentials are looked at like those of an address."""
    root = CertifiedKey("authority", is_ca=True, days=(-300, 10))
    (tmp_path / "root.pem").write_text(root.pem)
    (tmp_path / "pem").mkdir()
    (tmp_path / "pem" / "one.pem").write_text(CertifiedKey().public_pem)
    (tmp_path / "token").write_text("secret")
    published = {"keys": [make_key("ES256", kid="file-1").public().as_dict()]}
    (tmp_path / "set.json").write_text(json.dumps(published))
    rules = {"algorithms": ["ES256"], "audience": "a"}
    with FaultyIssuerServer(ISS) as issuer:
        path = configured(tmp_path, issuer)
        found = json.loads(path.read_text())["issuers"][0]
        found["authorization_file"] = "token"
        tables = [
            {**found, "iss": "https://fetched.example"},
            {"iss": "https://file.example", "jwks_file": "set.json", **rules},
            {"iss": "https://pem.example", "pem_path": "pem", **rules},
            {"iss": "https://x5c.example", "x5c_roots": "root.pem", **rules},
            {"iss": "https://gone.example", "jwks_file": "gone.json", "required": False, **rules},
        ]
        path.write_text(json.dumps({"issuers": tables}))
        status, text = run("--config", path, "--memory", tmp_path / "m.json", "--json")
    kids = kids_of(text)
    assert status == 1
    assert len(kids["https://fetched.example"]) == 1
    assert kids["https://file.example"] == ["file-1"]
    assert kids["https://pem.example"] == ["one"]
    assert kids["https://x5c.example"] == ["root CN=authority"]
    assert kids["https://gone.example"] == []
    wanted = [(one["subject"], one["code"]) for one in json.loads(text)["findings"] if one["level"] != "note"]
    assert sorted(wanted) == [("https://gone.example", "no_answer"), ("https://x5c.example", "key_expires")]


def test_K_check_looks_at_a_registrys_folder(tmp_path: Path) -> None:
    """Each file of a registry is an issuer, and one that cannot be read is an error."""
    folder = tmp_path / "issuers.d"
    folder.mkdir()
    for name in ("a", "b"):
        keys = folder / f"{name}.json"
        keys.write_text(json.dumps({"keys": [make_key("ES256", kid=name).public().as_dict()]}))
        iss = f"https://{name}.example"
        text = f'iss = "{iss}"\nalgorithms = ["ES256"]\naudience = "a"\njwks_file = "{name}.json"\n'
        (folder / issuer_file_name(iss)).write_text(text)
    (folder / "broken.toml").write_text("iss = 7\n")
    path = tmp_path / "c.toml"
    path.write_text('[registry]\nfolder = "issuers.d"\n')
    status, text = run("--config", path, "--memory", tmp_path / "m.json", "--json")
    assert (status, kids_of(text)) == (1, {"https://a.example": ["a"], "https://b.example": ["b"]})
    errors = [one for one in json.loads(text)["findings"] if one["level"] == "error"]
    assert [one["code"] for one in errors] == ["issuer_file_refused"]
    assert "broken.toml" in errors[0]["text"]


def test_K_a_large_folder_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more files than one look takes, the first are read, and how many are left is told."""
    monkeypatch.setattr(configured_keys, "FOLDER_MAX", 1)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.toml").write_text("iss = 7\n")
    found, faults, left = configured_keys.registry_issuers(tmp_path)
    assert (found, len(faults), left) == ([], 1, 2)


def test_K_keys_of_any_source_are_compared(tmp_path: Path) -> None:
    """``keys compare`` takes an issuer of a registry's folder and of a file beside an address."""
    folder = tmp_path / "issuers.d"
    folder.mkdir()
    with FaultyIssuerServer(ISS) as issuer:
        (folder / "ca.pem").write_text(issuer.ca_pem)
        (folder / "a.json").write_text(json.dumps({"keys": issuer.published}))
        text = f'iss = "{ISS}"\nalgorithms = ["ES256"]\naudience = "a"\njwks_file = "a.json"\n'
        (folder / issuer_file_name(ISS)).write_text(text)
        path = tmp_path / "c.toml"
        path.write_text('[registry]\nfolder = "issuers.d"\n')
        words = ["--config", path, "--issuer", ISS, "--ca", folder / "ca.pem", "--json", issuer.url]

        def compared() -> tuple[int, Any]:
            found = CliRunner().invoke(app, ["keys", "compare", *map(str, words)])
            return found.exit_code, json.loads(found.output)

        assert compared()[0] == 0
        (folder / "a.json").write_text(
            json.dumps({"keys": [make_key("ES256", kid="old").public().as_dict()]})
        )
        status, found = compared()
        assert (status, found["same"]) == (1, False)
        assert found["answers"][0]["name"] == "configured"
