"""A folder with a file an issuer, behind ``[registry]``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tokens
from registries import code, name_of, token, until
from tokens import NOW_S

import rapidjws
from rapidjws.config.issuer_folder import issuer_file_name, read_issuer_file
from rapidjws.config.load import ConfigFile, build_service
from rapidjws.config.read import load_config

HOSTILE = (
    "../secret", "/etc/passwd", "..", ".", "a/../../b", "a\\b", "C:\\x", "a\0b", "%2e%2e%2f", "~root",
    "\u202ea", "e\u0301", "\u00e9", "x" * 1000, "\ud800",
)  # fmt: skip


def folder_of(tmp_path: Path, *names: str) -> Path:
    """Make a configuration with a folder of issuers."""
    issuers = tmp_path / "issuers.d"
    issuers.mkdir()
    (issuers / "keys.json").write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    for name in names:
        write(issuers, name)
    (tmp_path / "rapidjws.toml").write_text('[registry]\nfolder = "issuers.d"\nrefresh_s = 0.1\n')
    return tmp_path / "rapidjws.toml"


def write(issuers: Path, name: str, /, **changes: str) -> Path:
    """Write an issuer's file; another one takes its place whole."""
    lines = {
        "iss": json.dumps(name), "jwks_file": '"keys.json"', "algorithms": '["ES256"]',
        "audience": json.dumps(tokens.AUD), **changes,
    }  # fmt: skip
    path = issuers / issuer_file_name(name)
    fresh = issuers / "fresh"
    fresh.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    os.replace(fresh, path)
    return path


def engine_of(path: Path) -> rapidjws.Engine:
    """Return the engine of a configuration, which waits for look-ups as long as a busy machine needs."""
    engine = ConfigFile(path).engine
    assert isinstance(engine, rapidjws.IssuerRegistry)
    engine._lookup_timeout_s = 60.0
    return engine


def test_issuers_come_from_their_files(tmp_path: Path) -> None:
    """Each issuer's tokens verify by its own file; one without a file is unknown."""
    engine = engine_of(folder_of(tmp_path, name_of(1), name_of(2)))
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    assert tokens.code_of(engine, token(name_of(2))) == "ok"
    assert tokens.code_of(engine, token(name_of(3))) == "unknown_issuer"
    assert engine.issuers == ()
    assert engine.ready


def test_files_come_go_and_change(tmp_path: Path) -> None:
    """A new file serves, a changed one changes its issuer, and with a file its issuer goes."""
    engine = engine_of(folder_of(tmp_path, name_of(1)))
    issuers = tmp_path / "issuers.d"
    assert tokens.code_of(engine, token(name_of(1))) == "ok"
    write(issuers, name_of(2))
    until(lambda: code(lambda: engine.verify(token(name_of(2)), NOW_S)) == "ok")
    write(issuers, name_of(1), audience='"https://other.example"')
    until(lambda: code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "audience_mismatch")
    write(issuers, name_of(1), algorithms='"nonsense"')

    def failed() -> bool:
        assert code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "audience_mismatch"
        found: int = engine.registry_status().lookups_failed  # type: ignore[attr-defined]
        return found > 0

    until(failed)
    (issuers / issuer_file_name(name_of(2))).unlink()
    until(lambda: code(lambda: engine.verify(token(name_of(2)), NOW_S)) == "unknown_issuer")


def test_a_folder_that_is_gone_is_an_outage(tmp_path: Path) -> None:
    """Where the folder cannot be read, nothing is known of an issuer: no verdict."""
    engine = engine_of(folder_of(tmp_path, name_of(1)))
    (tmp_path / "issuers.d").rename(tmp_path / "elsewhere")
    until(lambda: code(lambda: engine.verify(token(name_of(9)), NOW_S)) == "keys_unavailable")
    (tmp_path / "elsewhere").rename(tmp_path / "issuers.d")
    until(lambda: code(lambda: engine.verify(token(name_of(1)), NOW_S)) == "ok")


@pytest.mark.parametrize("iss", HOSTILE)
def test_no_name_leaves_the_folder(iss: str) -> None:
    """Whatever a token states, the file is one plain name that differs from that of any other issuer."""
    name = issuer_file_name(iss)
    assert os.path.basename(name) == name
    assert len(name) < 255
    assert name.isascii()
    assert not set(name) & set('/\\:\0*?"<>| ')
    assert name not in (".toml",)
    assert sum(issuer_file_name(other) == name for other in HOSTILE) == 1


def test_a_file_holds_the_issuer_it_is_named_by(tmp_path: Path) -> None:
    """A file with another iss, or several, or under another name is refused: no token verifies by it."""
    path = folder_of(tmp_path)
    issuers = tmp_path / "issuers.d"
    for wrong in ('"https://other.example"', '["https://a.example", "https://b.example"]', "7"):
        write(issuers, name_of(1), iss=wrong)
        with pytest.raises(rapidjws.ConfigurationError, match="iss"):
            read_issuer_file(issuers / issuer_file_name(name_of(1)))
    write(issuers, name_of(2)).rename(issuers / "mine.toml")
    with pytest.raises(rapidjws.ConfigurationError, match=r"tenant-2\.example\.toml"):
        read_issuer_file(issuers / "mine.toml")
    engine = engine_of(path)
    assert tokens.code_of(engine, token(name_of(1))) == "keys_unavailable"


def test_a_slip_in_a_file_has_its_line(tmp_path: Path) -> None:
    """A wrong setting of an issuer's file is named with file and line, and found by ``config check``."""
    from rapidjws.config.named_files import named_file_faults

    path = folder_of(tmp_path)
    made = write(tmp_path / "issuers.d", name_of(1), leeway_s='"ten"')
    with pytest.raises(rapidjws.ConfigurationError, match=rf"{made.name}:5: leeway_s"):
        read_issuer_file(made)
    (fault,) = named_file_faults(load_config(path).tables, tmp_path)
    assert fault[0] == ("registry", "folder")
    assert f"{made.name}:5: leeway_s" in str(fault[2])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[registry]\n", r"registry\.folder"),
        ('[registry]\nfolder = "none"\n', r"toml:2: registry\.folder"),
        ('[registry]\nfolder = "issuers.d"\nmax_issuers = 0\n', r"toml:3: registry\.max_issuers"),
        ('[registry]\nfolder = "issuers.d"\n[engine]\ncache_entries = 5\n', r"toml:4: engine\.cache_entries"),
        ('[registry]\nfolder = "issuers.d"\nnonsense = 1\n', r"toml:3: registry\.nonsense"),
        ("[engine]\nworkers = 1\n", "issuers"),
    ],
)
def test_a_slip_in_the_section_is_an_error_at_the_start(tmp_path: Path, text: str, place: str) -> None:
    """A wrong setting of ``[registry]`` is refused with its line."""
    path = folder_of(tmp_path)
    path.write_text(text)
    with pytest.raises(rapidjws.ConfigurationError, match=place):
        ConfigFile(path)


def test_a_service_with_partners_and_replay(tmp_path: Path) -> None:
    """Partners are told by issuers of the folder; a token is used once, whatever is built anew."""
    path = folder_of(tmp_path)
    write(tmp_path / "issuers.d", name_of(1), replay="true")
    path.write_text(
        path.read_text()
        + 'max_issuers = 1\n[[partners]]\nname = "shop"\nissuers = ["https://tenant-1.example"]\n'
    )
    service = build_service(load_config(path))
    engine: Any = service.engine
    engine._lookup_timeout_s = 60.0
    good = token(name_of(1), jti="one")
    first = engine.decide(good, now=NOW_S)
    assert (first.outcome, first.partner) == ("permit", "shop")
    assert engine.decide(good, now=NOW_S).code == "replayed"
    engine.forget(name_of(1))
    assert engine.decide(good, now=NOW_S).code == "replayed"
    refused = engine.decide(token(name_of(1), jti="two", exp=NOW_S - 1000), now=NOW_S)
    assert refused.code == "expired"
