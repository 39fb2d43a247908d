"""`make vectors`: pinned files are taken, others are refused, and what lies beside the checkout is used."""

from __future__ import annotations

import importlib.util
import io
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Give the tool, with nothing beside the checkout and nothing fetched."""
    spec = importlib.util.spec_from_file_location("vectors_tool", ROOT / "tools" / "vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vectors_tool", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FETCHED", tmp_path / "fetched")
    monkeypatch.setenv("RAPIDJWS_VECTORS", str(tmp_path / "absent"))
    return module


def archive_of(files: dict[str, bytes]) -> bytes:
    """Return a compressed archive as GitHub makes them: all below one folder."""
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"repository-1234/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return octets.getvalue()


def sources_over(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    """Let the tool know one source, whose archive is a local file, with the files that are right."""
    right = {"jws/a.json": b"{}", "jws/b.json": b"[]"}
    source = replace(tool.SOURCES[2], sha256=tool.digest_of(right))
    monkeypatch.setattr(tool, "SOURCES", (source,))
    monkeypatch.setattr(tool.Source, "url", property(lambda self: archive.as_uri()))


def test_pinned_files_are_taken(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files that fit the pin are written; a second run fetches nothing."""
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(archive_of({"jws/a.json": b"{}", "jws/b.json": b"[]", "other.txt": b"no"}))
    sources_over(tool, monkeypatch, archive)
    assert tool.main() == 0
    written = sorted(path.name for path in tool.FETCHED.rglob("*") if path.is_file())
    assert written == ["a.json", "b.json"]
    archive.unlink()
    assert tool.main() == 0


@pytest.mark.parametrize("changed", [{"jws/a.json": b"{ }"}, {"jws/c.json": b"{}"}, {"jws/b.json": None}])
def test_other_files_are_refused(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, bytes | None]
) -> None:
    """A changed, an added and a missing file are each refused, and nothing is written."""
    files = {"jws/a.json": b"{}", "jws/b.json": b"[]", **changed}
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(archive_of({name: octets for name, octets in files.items() if octets is not None}))
    sources_over(tool, monkeypatch, archive)
    assert tool.main() == 1
    assert not tool.FETCHED.exists()


def test_what_lies_beside_is_used(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the vectors are there, nothing is fetched."""
    monkeypatch.setenv("RAPIDJWS_VECTORS", str(tmp_path))
    assert tool.main() == 0
    assert capsys.readouterr().out == f"vectors: {tmp_path}\n"


def test_pins_fit_the_vectors_at_hand(tool: ModuleType, vectors: Path) -> None:
    """The pinned digests are those of the copies that the suite runs on."""
    assert [source.folder for source in tool.SOURCES if not tool.is_whole(source, vectors)] == []
