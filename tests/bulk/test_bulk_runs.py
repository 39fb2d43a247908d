"""Runs over Parquet files: whole parts, taken up where they were, and clear words for other files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import tokens
import typer
from tokens import NOW_S
from typer.testing import CliRunner

import rapidjws
from rapidjws.bulk import BulkVerifier, reading, verify_parquet
from rapidjws.cli.app import load_command
from rapidjws.verify.worker_pool import submit

MADE = [tokens.token(sub=f"u{number}") for number in range(6)] + ["x", tokens.token(exp=NOW_S - 4000)]
EXPECTED = ["ok"] * 6 + ["malformed_token", "expired"]


def write(path: Path, rows: int = 40, group: int = 10, **columns: Any) -> Path:
    """Write a Parquet file of good and bad tokens."""
    values = {"id": range(rows), "token": (MADE * rows)[:rows], **columns}
    pa.parquet.write_table(pa.table(values), path, row_group_size=group)
    return path


def verifier() -> BulkVerifier:
    """Return a verifier of the tokens."""
    return BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"}, workers=1)


def found_in(folder: Path) -> Any:
    """Return what a run wrote, as any reader of datasets sees it."""
    return pa.dataset.dataset(folder, format="parquet").to_table().sort_by("id")


def test_a_run_over_a_file(tmp_path: Path) -> None:
    """Every row has its verdict, in its place, in files that any reader of datasets reads as one."""
    source = write(tmp_path / "in.parquet")
    seen: list[tuple[int, int]] = []
    report = verify_parquet(
        verifier(), str(source), tmp_path / "out", part_rows=15, progress=lambda *one: seen.append(one)
    )
    out = found_in(tmp_path / "out")
    assert out.column("id").to_pylist() == list(range(40))
    assert out.column("code").to_pylist() == EXPECTED * 5
    assert "token" not in out.schema.names
    assert report.counts == {"ok": 30, "malformed_token": 5, "expired": 5}
    assert (report.rows, report.parts, report.resumed) == (40, 2, 0)
    assert seen[-1] == (40, 40)
    assert json.loads((tmp_path / "out" / "_summary.json").read_text())["rows"] == 40


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stays and is not verified again; a half-written file is written anew."""
    source, out = write(tmp_path / "in.parquet"), tmp_path / "out"
    calls = []
    real = BulkVerifier.verify_batch

    def interrupted(self: Any, batch: Any) -> Any:
        calls.append(batch.num_rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(BulkVerifier, "verify_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify_parquet(verifier(), str(source), out, part_rows=10)
    assert sorted(one.name for one in out.glob("*.parquet")) == ["in-00000.parquet", "in-00001.parquet"]
    assert not (out / "_summary.json").exists()
    (out / "in-00001.parquet").write_bytes((out / "in-00001.parquet").read_bytes()[:-9])
    report = verify_parquet(verifier(), str(source), out, part_rows=10)
    assert (report.parts, report.resumed) == (4, 1)
    assert sum(calls) == 30 + 30
    assert found_in(out).column("code").to_pylist() == EXPECTED * 5


@pytest.mark.parametrize("change", ["settings", "input", "part_rows", "strange", "spoilt"])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, change: str) -> None:
    """A folder of other settings, of changed input or with other files is refused and not touched."""
    source, out = write(tmp_path / "in.parquet"), tmp_path / "out"
    out.mkdir()
    options: dict[str, Any] = {"part_rows": 10}
    if change == "strange":
        (out / "mine.txt").write_text("mine")
    else:
        verify_parquet(verifier(), str(source), out, **options)
    if change == "spoilt":
        (out / "_run.json").write_text("{")
    if change == "input":
        write(source, rows=50)
    if change == "settings":
        options["settings"] = "other keys"
    if change == "part_rows":
        options["part_rows"] = 11
    before = {one.name: one.read_bytes() for one in out.iterdir()}
    with pytest.raises(rapidjws.ConfigurationError, match="this run"):
        verify_parquet(verifier(), str(source), out, **options)
    after = {one.name: one.read_bytes() for one in out.iterdir() if one.name != "._run.lock"}
    assert after == {name: octets for name, octets in before.items() if name != "._run.lock"}


def test_every_file_is_looked_at_before_anything_is_written(tmp_path: Path) -> None:
    """Where one file of a folder has other columns, file and column are named; nothing is written."""
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.parquet")
    pa.parquet.write_table(pa.table({"id": [1], "jwt": ["x"]}), folder / "b.parquet")
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        verify_parquet(verifier(), str(folder), tmp_path / "out")
    assert "b.parquet: column.token" in str(refused.value.place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "page", "none"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    """A truncated, damaged or missing file is an error that names it; no part is half there."""
    source = write(tmp_path / "in.parquet", rows=4000, group=2000)
    octets = source.read_bytes()
    if damage == "none":
        source.unlink()
    else:
        made = {"cut": octets[: len(octets) // 2], "text": b"id,token\n", "empty": b"",
                "page": octets[:4] + bytes(2000) + octets[2004:]}  # fmt: skip
        source.write_bytes(made[damage])
    with pytest.raises(rapidjws.ConfigurationError, match=r"in\.parquet"):
        verify_parquet(verifier(), str(source), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """Files below folders are found, hidden ones are not, and none takes another's place."""
    for day in ("day=1", "day=2", "_old", ".hidden"):
        (tmp_path / "in" / day).mkdir(parents=True)
        write(tmp_path / "in" / day / "x.parquet")
    report = verify_parquet(verifier(), str(tmp_path / "in"), tmp_path / "out")
    assert (report.rows, report.parts) == (80, 2)


def run(*arguments: object) -> Any:
    """Run ``rapidjws bulk verify``."""
    return CliRunner().invoke(load_command("bulk"), ["verify", *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    """The command exits 0, 1 or 2, says its counts, and is taken up by the same command."""
    source = write(tmp_path / "in.parquet")
    good = tmp_path / "good.parquet"
    pa.parquet.write_table(pa.table({"token": MADE[:6]}), good)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    keys = ("--jwks", jwks, "--alg", "ES256", "--issuer", tokens.ISS, "--audience", tokens.AUD)
    first = run(source, tmp_path / "out", *keys, "--now", NOW_S, "--claim", "sub:string", "--json")
    assert first.exit_code == 1, first.output
    assert json.loads(first.stdout)["counts"] == {"ok": 30, "malformed_token": 5, "expired": 5}
    again = run(source, tmp_path / "out", *keys, "--claim", "sub:string")
    assert again.exit_code == 1
    assert "1 of them written before" in again.output.replace("1 parts, ", "")
    assert run(good, tmp_path / "good", *keys, "--now", NOW_S).exit_code == 0
    for wrong in (
        (source, tmp_path / "new"),
        (source, tmp_path / "new", "--jwks", jwks),
        (source, tmp_path / "new", *keys, "--token", "jwt"),
        (source, tmp_path / "new", *keys, "--claim", "sub"),
        (source, tmp_path / "new", *keys, "--claim", "sub:text"),
        (source, tmp_path / "out", *keys, "--now", NOW_S + 1),
        (tmp_path / "no.parquet", tmp_path / "new", *keys),
    ):
        assert run(*wrong).exit_code == 2, wrong
        assert not (tmp_path / "new").exists()


def test_the_command_with_a_configuration(tmp_path: Path) -> None:
    """Keys and rules come from a configuration; one that checks replay is refused."""
    good = tmp_path / "good.parquet"
    pa.parquet.write_table(pa.table({"token": MADE[:6]}), good)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    text = f'[[issuers]]\niss = "{tokens.ISS}"\nalgorithms = ["ES256"]\naudience = ["{tokens.AUD}"]\n'
    config = tmp_path / "config.toml"
    config.write_text(text + 'jwks_file = "jwks.json"\n')
    done = run(good, tmp_path / "out", "--config", config, "--now", NOW_S)
    assert done.exit_code == 0, done.output
    config.write_text(text + 'jwks_file = "jwks.json"\nreplay = true\n')
    assert run(good, tmp_path / "other", "--config", config).exit_code == 2


def test_a_broken_page_is_named(tmp_path: Path) -> None:
    """Row group, column and the octet where that begins are named, and nothing of the part is written."""
    source = write(tmp_path / "in.parquet", rows=400, group=100)
    about = pa.parquet.read_metadata(source)
    chunk = about.row_group(2).column(1)
    begin = min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)
    octets = bytearray(source.read_bytes())
    for at in range(begin + chunk.total_compressed_size // 3, begin + chunk.total_compressed_size):
        octets[at] ^= 0xFF
    source.write_bytes(octets)
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        verify_parquet(verifier(), str(source), tmp_path / "out", part_rows=400)
    assert str(refused.value.place).endswith(f"in.parquet: row group 2, token, octet {begin}")
    assert not list((tmp_path / "out").glob("*.parquet"))


@pytest.mark.parametrize("is_had", [True, False])
def test_the_next_rows_are_read_meanwhile(
    is_had: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two threads, and where no second one is to be had, every row is there once, in its place."""
    source = write(tmp_path / "in.parquet", rows=400, group=30)
    asked: list[Any] = []

    def submitted(task: Any) -> bool:
        asked.append(task)
        return submit(task) if is_had else False

    monkeypatch.setattr(reading, "submit", submitted)
    both = BulkVerifier(tokens.engine(), now=NOW_S, workers=2)
    report = verify_parquet(both, str(source), tmp_path / "out", part_rows=100)
    out = found_in(tmp_path / "out")
    assert out.column("id").to_pylist() == list(range(400))
    assert out.column("code").to_pylist() == EXPECTED * 50
    assert len(asked) >= report.rows // 30


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_had", [True, False])
def test_a_fault_of_what_is_read_meanwhile_is_raised(is_had: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is met in reading reaches the caller, whoever reads; one that leaves waits for the thread."""

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    monkeypatch.setattr(reading, "submit", lambda task: submit(task) if is_had else False)
    batches = reading.ahead(broken(), is_ahead=True)
    assert next(batches) == 1
    with pytest.raises(OSError, match="gone"):
        next(batches)
    left = reading.ahead(broken(), is_ahead=True)
    assert next(left) == 1
    left.close()


def test_a_file_without_tokens_is_no_success(tmp_path: Path) -> None:
    """A run that verified nothing ends with 1, and says so."""
    source = write(tmp_path / "in.parquet", rows=0)
    (tmp_path / "key.jwk").write_text(json.dumps(tokens.public("ES256").as_dict()))
    app = typer.Typer()
    app.add_typer(load_command("bulk"), name="bulk")
    given = [str(source), str(tmp_path / "out"), "--jwks", str(tmp_path / "key.jwk"), "--alg", "ES256"]
    done = CliRunner().invoke(app, ["bulk", "verify", *given])
    assert done.exit_code == 1
    assert "no token in it" in done.output


def test_no_secret_of_an_address_is_shown(tmp_path: Path) -> None:
    """Errors name an address without user, password and query."""
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        verify_parquet(verifier(), "s3://user:secret@logs/2026?endpoint_override=x%zz", tmp_path / "out")
    assert refused.value.place == "s3://logs/2026"
    assert "secret" not in str(refused.value)


def test_a_bucket_is_read_as_a_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet files in S3 are verified below a prefix; a bucket that is not there is named."""
    from moto.server import ThreadedMotoServer

    boto3 = pytest.importorskip("boto3")
    for name, value in {"ID": "testing", "KEY": "testing"}.items():
        monkeypatch.setenv(f"AWS_{'ACCESS_KEY_ID' if name == 'ID' else 'SECRET_ACCESS_KEY'}", value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="logs")
        for name in ("2026/a.parquet", "2026/b.parquet", "other/c.parquet"):
            client.put_object(Bucket="logs", Key=name, Body=write(tmp_path / "in.parquet").read_bytes())
        query = f"region=us-east-1&endpoint_override={host}:{port}&scheme=http"
        report = verify_parquet(verifier(), f"s3://logs/2026?{query}", tmp_path / "out")
        assert (report.rows, report.parts) == (80, 2)
        assert found_in(tmp_path / "out").num_rows == 80
        again = verify_parquet(verifier(), f"s3://logs/2026?{query}", tmp_path / "out")
        assert again.resumed == 2
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            verify_parquet(verifier(), f"s3://none/2026?{query}", tmp_path / "none")
        assert not (tmp_path / "none").exists()
        assert refused.value.place == "s3://none/2026"
    finally:
        server.stop()


def test_L_a_file_that_unpacks_to_too_much_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a row group, row groups and octets beyond the bounds are refused: nothing is written."""
    source = write(tmp_path / "in.parquet")
    for name, most, place in (
        ("GROUP_ROWS_MAX", 9, "row group 0, octet 4"),
        ("GROUPS_MAX", 3, "footer"),
        ("COLUMN_MAX_BYTES", 300, "row group 0, token, octet"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(reading, name, most)
            with pytest.raises(rapidjws.RapidJWSError) as refused:
                verify_parquet(verifier(), str(source), tmp_path / "out")
        assert refused.value.code == "configuration_invalid"
        assert "in.parquet: " in str(refused.value.place)
        assert place in str(refused.value.place)
        assert not (tmp_path / "out").exists()
    assert verify_parquet(verifier(), str(source), tmp_path / "out").rows == 40
