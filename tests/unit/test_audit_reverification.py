"""Verification of a trail by the bundle: what the core reads of records, threads, and runs that go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_service import Service, log_key, service
from audit_trails import filled, whole, writer
from typer.testing import CliRunner

from rapidjws import RapidJWSError
from rapidjws.audit import ContentKeys, SavedPieces, TrailReader, Verification, Wanted, verification
from rapidjws.audit.merkle import TILE_WIDTH
from rapidjws.audit.record_check import RecordCheck
from rapidjws.audit.records import FIELDS, RecordTemplate, canonical, gap_record
from rapidjws.audit.report_html import page
from rapidjws.audit.tile_files import CONTENT, bundle
from rapidjws.cli.app import app


@pytest.fixture(scope="module")
def trail() -> Iterator[Service]:
    """Return a closed trail of four bundles with decisions of several kinds, two policies and a gap."""
    with service(durable=False, content=("token", "claims"), claims=("sub",)) as world:
        good = [world.token(sub=f"user-{at}") for at in range(4)]
        tokens = [*good, good[0][:-8] + "AAAAAAAA", world.token(exp=1_600_000_000), "x.y.z", None]
        for at in range(800):
            if at == 500:
                world.client.count_lost("queue_full")
                world.engine.replace_issuers(*(one for one in world.engine.issuers))
            token = tokens[at % 7 if at % 50 else 7]
            route = "/größe" if at % 31 == 0 else "/pay"
            decision = world.engine.decide(token, partner="acme" if at % 3 else "bank", route=route)
            world.recorder.note(decision, token)
        world.closed()
        yield world


def report_of(world: Service, wanted: Wanted | None = None, **settings: Any) -> dict[str, Any]:
    """Verify a trail, and return the report."""
    return Verification(TrailReader(world.folder, log_key()), wanted, **settings).run().as_dict()


WANTED = [Wanted(), Wanted(partner="bank"), Wanted(issuer="https://issuer.example"), Wanted(since_us=1),
          Wanted(until_us=1)]  # fmt: skip


@pytest.mark.parametrize("wanted", WANTED, ids=["all", "partner", "issuer", "since", "until"])
def test_L_records_together_give_what_each_alone_gives(
    trail: Service, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same report comes of the records of a bundle together, one by one, and by two threads."""
    together = report_of(trail, wanted)
    monkeypatch.setattr(verification, "PIECE_BUNDLES", 1)
    assert report_of(trail, wanted, jobs=2) == together
    monkeypatch.setattr(RecordCheck, "_read_shape", lambda self, text: None)
    alone = report_of(trail, wanted)
    assert alone == together
    assert together["good"] is (together["records"] > 0)
    assert together["findings"] == []
    assert together["records"] == {
        "Wanted(partner='bank')": 267,
        "Wanted(until_us=1)": 0,
    }.get(_shown(wanted), together["records"])
    assert together["lost"] == 1


def _shown(wanted: Wanted) -> str:
    return "Wanted(partner='bank')" if wanted.partner else "Wanted(until_us=1)" if wanted.until_us else ""


def altered_contents(folder: Path, index: int, content: bytes) -> None:
    """Store another content beside a record, in a file that is whole otherwise."""
    reader = TrailReader(folder, log_key())
    contents = reader.contents(0)
    contents[index] = content
    (path,) = (one for one in (folder / "content").rglob("*") if one.is_file())
    path.write_bytes(bundle(contents, CONTENT))


def test_L_an_altered_one_among_good_ones_is_named() -> None:
    """Another token, a record's token of another record, and claims that were altered are named by record."""
    with service(content=("token", "claims"), claims=("sub",)) as world:
        for at in range(5):
            world.decide(world.token(sub=f"user-{at}"))
        world.closed()
        first, second = TrailReader(world.folder, log_key()).contents(0)[:2]
        for content, code in (
            (second, "token_altered"),
            (first.replace(b'"sub":"user-0"', b'"sub":"user-1"'), "claims_altered"),
            (first[:-1], "content_altered"),
            (b"", "content_missing"),
        ):
            altered_contents(world.folder, 0, content)
            report = report_of(world)
            found = [(one["code"], one["record"]) for one in report["findings"]]
            assert found == [(code, 0)]
            assert report["agreed"] == 4


def test_L_another_key_than_the_recorded_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that verifies by another key than its record says is a difference."""
    with service() as world:
        world.decide(world.token())
        world.closed()
        shape = RecordCheck._read_shape

        def other_key(self: RecordCheck, text: bytes) -> Any:
            return shape(self, text.replace(world.key.thumbprint().encode(), b"A" * 43))

        monkeypatch.setattr(RecordCheck, "_read_shape", other_key)
        (found,) = report_of(world)["findings"]
        assert (found["code"], found["cause"]) == ("verdict_differs", "another key verifies")


def test_L_an_interrupted_run_goes_on(
    trail: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is not done again, and the report is that of one run."""
    monkeypatch.setattr(verification, "PIECE_BUNDLES", 1)
    reader = TrailReader(trail.folder, log_key())
    whole_report = report_of(trail)

    def interrupt(done: int, total: int) -> None:
        assert total == reader.size
        if done == 512:
            raise KeyboardInterrupt

    saved = SavedPieces(tmp_path / "done")
    with pytest.raises(KeyboardInterrupt):
        Verification(reader, progress=interrupt, saved=saved).run()
    steps: list[int] = []
    report = Verification(reader, progress=lambda done, _: steps.append(done), saved=saved).run()
    assert report.resumed == 512
    assert steps[-1] == reader.size
    assert {**report.as_dict(), "resumed": 0} == whole_report
    with (tmp_path / "done").open("ab") as file:
        file.write(b'{"piece": 3, "of_rec')  # cut by a crash
    assert Verification(reader, saved=SavedPieces(tmp_path / "done")).run().resumed == reader.size
    saved.forget()
    assert not (tmp_path / "done").exists()


def test_L_what_another_run_left_is_refused(trail: Service, tmp_path: Path) -> None:
    """A file of another trail, another selection, or of anything else is refused, and left as it is."""
    reader = TrailReader(trail.folder, log_key())
    done = tmp_path / "done"
    Verification(reader, saved=SavedPieces(done)).run()
    other = tmp_path / "other"
    other.write_bytes(b"notes\n")
    for path, wanted in ((done, Wanted(partner="acme")), (other, Wanted())):
        octets = path.read_bytes()
        with pytest.raises(RapidJWSError) as refused:
            Verification(reader, wanted, saved=SavedPieces(path)).run()
        assert refused.value.code == "configuration_invalid"
        assert path.read_bytes() == octets
    with pytest.raises(RapidJWSError):
        Verification(whole(tmp_path / "trail", 3), saved=SavedPieces(done)).run()


def test_L_a_clock_that_stepped_back_between_pieces_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that stepped back is counted once, within a bundle or between two pieces."""
    monkeypatch.setattr(verification, "PIECE_BUNDLES", 1)
    made = filled(tmp_path)
    for first_us in (30_000_000, 10_000_000):
        template = RecordTemplate(
            {"code": "ok", "kind": "decision", "policy": "0" * 64, "generation": "0" * 64}
        )
        made.append([template.record(first_us + at, token=None) for at in range(256)])
    made.append([template.record(at, token=None) for at in (9_500_000, 1_000_000)])
    made.close()
    report = Verification(TrailReader(tmp_path, made.key)).run()
    assert report.not_verified_again["clock stepped back (noted only)"] == 2


def test_L_a_record_of_decisions_that_lacks_fields_is_no_decision(tmp_path: Path) -> None:
    """A signed entry that says it is a decision, without the fields of one, is counted and not verified."""
    report = Verification(whole(tmp_path, 3)).run()
    assert report.is_good
    assert report.not_verified_again == {"another kind of record": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("policy", ["a"]), ("generation", {}), ("code", []), ("code", None), ("key", 7), ("partner", True),
        ("time_us", -1), ("time_us", 2**62), ("token", ["a"]), ("kid", {"a": "b"}), ("verdict", [None]),
    ],
)  # fmt: skip
def test_L_a_signed_record_with_fields_of_other_types_is_named(tmp_path: Path, name: str, value: Any) -> None:
    """A log may sign what no sequencer writes: a reader names the record and goes on to the next."""
    fields = dict.fromkeys(FIELDS) | {"kind": "decision", "code": "ok", "policy": "a" * 64}
    fields |= {"time_us": 1, "generation": "b" * 64, "token": "c" * 64}
    made = writer(tmp_path)
    made.append([canonical({**fields, name: value}), gap_record(2, 3, "late")])
    made.close()
    report = Verification(TrailReader(tmp_path, made.key)).run()
    found = [(one.code, one.record) for one in report.findings if one.code == "record_altered"]
    assert (found, report.lost) == ([("record_altered", 0)], 3)


def test_L_encrypted_tokens_are_verified_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None alone where each agrees; one that does not is named, and the others agree."""
    (tmp_path / "keys").mkdir()
    keys = ContentKeys(tmp_path / "keys", bytes(32))
    alone: list[int] = []
    real = RecordCheck._alone
    monkeypatch.setattr(
        RecordCheck, "_alone", lambda self, *given: alone.append(given[-1]) or real(self, *given)
    )
    with service(durable=False, keys=keys, content=("token",)) as world:
        good = [world.token(sub=f"user-{at}") for at in range(4)]
        for at in range(300):
            world.recorder.note(world.engine.decide(good[at % 4]), good[at % 4])
        late = world.token(exp=1_600_000_000)
        decision = world.engine.decide(good[0])
        world.recorder.note(world.engine.decide(late), late)
        world.recorder.note(decision, late)  # accepted as it says, and was not
        report = Verification(world.closed(), keys=keys).run()
    assert alone == [301]
    assert (report.agreed, [(one.code, one.record) for one in report.findings]) == (
        301,
        [("verdict_differs", 301)],
    )


def test_L_the_command_verifies_with_threads_and_writes_html(trail: Service, tmp_path: Path) -> None:
    """``audit verify --jobs --resume --html --json`` writes both reports and leaves no file of its run."""
    target, done = tmp_path / "report.html", tmp_path / "done"
    given = ["audit", "verify", str(trail.folder), "--key", log_key().text, "--jobs", "2", "--json",
             "--html", str(target), "--resume", str(done)]  # fmt: skip
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["good"] is True
    assert "Good: nothing is altered" in target.read_text("utf-8")
    assert not done.exists()
    assert CliRunner().invoke(app, [*given[:5], "--jobs", "0"]).exit_code == 2


def test_L_foreign_text_in_the_html_report_is_text(trail: Service) -> None:
    """Markup in a finding does not become markup of the page, and the page runs no script."""
    from rapidjws.audit import Finding

    report = Verification(TrailReader(trail.folder, log_key())).run()
    report.findings.append(Finding(code="record_altered", place="<script>alert(1)</script>", record=1))
    text = page(report)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "Not good: 1 findings" in text
    assert "default-src 'none'" in text


def test_L_a_recorded_refusal_of_a_good_token_is_named() -> None:
    """A record that says refused, of a token that is accepted again, is a difference."""
    with service() as world:
        world.recorder.note_durably(world.engine.decide(world.token(exp=1_600_000_000)), world.token())
        world.closed()
        (found,) = report_of(world)["findings"]
        assert (found["code"], found["expected"], found["actual"]) == ("verdict_differs", "expired", "ok")


def test_L_a_recorded_refusal_is_named_where_the_core_accepts_the_token() -> None:
    """A refusal is a difference also where the core knows the token's header and accepts it by itself."""
    with service(durable=False) as world:
        good, late = world.token(), world.token(exp=1_600_000_000)
        for _ in range(TILE_WIDTH):
            world.recorder.note(world.engine.decide(good), good)
        world.recorder.note(world.engine.decide(late), good)
        world.closed()
        (found,) = report_of(world)["findings"]
        assert (found["record"], found["expected"], found["actual"]) == (TILE_WIDTH, "expired", "ok")


def test_L_nothing_looked_at_is_not_good(trail: Service, tmp_path: Path) -> None:
    """A verification whose conditions fit no record ends with 1 and says so, in HTML too."""
    where = ("audit", "verify", str(trail.folder), "--key", log_key().text)
    html = tmp_path / "report.html"
    none = CliRunner().invoke(app, [*where, "--partner", "no such partner", "--html", str(html)])
    assert none.exit_code == 1
    assert "NOT GOOD: no decision was looked at" in none.output
    assert "no decision was looked at" in html.read_text("utf-8")
    assert not report_of(trail, Wanted(until_us=1))["good"]


def test_L_wrong_files_of_the_command_are_wrong_usage(trail: Service, tmp_path: Path) -> None:
    """What cannot be read or written is named before the verification begins: exit 2, not a finding."""
    where = ("audit", "verify", str(trail.folder), "--key", log_key().text)
    (tmp_path / "none").write_text("no checkpoint\n")
    for wrong in (
        ("--checkpoint", str(tmp_path / "missing")),
        ("--checkpoint", str(tmp_path / "none")),
        ("--html", str(tmp_path / "missing" / "report.html")),
        ("--resume", str(tmp_path / "missing" / "state")),
    ):
        done = CliRunner().invoke(app, [*where, *wrong])
        assert done.exit_code == 2, done.output
        assert wrong[1] in done.output.replace("\n", "")


def test_L_every_reading_command_takes_an_archive(trail: Service, tmp_path: Path) -> None:
    """What seal stored is searched, shown, proved and exported as the trail is."""
    key = ("--key", log_key().text)
    archive = str(tmp_path / "archive")
    sealed = CliRunner().invoke(app, ["audit", "seal", str(trail.folder), archive, *key, "--plain-contents"])
    assert sealed.exit_code == 0, sealed.output
    record = ("--record", "0")
    for command in (("search",), ("show", *record), ("prove", *record)):
        shown = CliRunner().invoke(app, ["audit", command[0], archive, *key, *command[1:]])
        same = CliRunner().invoke(app, ["audit", command[0], str(trail.folder), *key, *command[1:]])
        assert (shown.exit_code, shown.output) == (0, same.output)
    out = tmp_path / "evidence"
    assert (
        CliRunner().invoke(app, ["audit", "export", archive, *key, *record, "--out", str(out)]).exit_code == 0
    )
    assert (out / "verify.py").exists()
    for wrong in (
        ("search", "--code", "no_such"),
        ("search", "--token", "abc"),
        ("show", "--record", "99999999"),
    ):
        assert CliRunner().invoke(app, ["audit", wrong[0], archive, *key, *wrong[1:]]).exit_code == 2
