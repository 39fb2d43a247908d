"""A trail, read by Go's own packages for tile logs (golang.org/x/mod/sumdb)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from audit_trails import ORIGIN, entry, whole

from rapidjws.audit import NoteKey

READER = Path(__file__).resolve().parents[2] / "build/partners/tlog/reader"
pytestmark = [
    pytest.mark.source_tree,
    pytest.mark.skipif(not READER.exists(), reason="no Go toolchain when `make partners` ran"),
]


def read(folder: Path, key: NoteKey, *indexes: int) -> subprocess.CompletedProcess[str]:
    """Have Go read a trail."""
    command = [str(READER), str(folder), key.text, *map(str, indexes)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("size", [1, 256, 257, 66_000])
def test_L_go_reads_a_trail(tmp_path: Path, size: int) -> None:
    """Go opens the checkpoint, finds the same root in the tiles, and proves the first and the last record."""
    from audit_trails import signer

    reader = whole(tmp_path, size)
    key = NoteKey(ORIGIN, signer().public, "EdDSA")
    found = read(tmp_path, key, 0, size - 1)
    assert found.stderr == ""
    lines = found.stdout.splitlines()
    assert lines[0].split()[:2] == [ORIGIN, str(size)]
    proofs = [reader.prove(index).path for index in (0, size - 1)]
    assert lines[1:] == [
        f"{len(proof)} {entry(index).decode()}" for index, proof in zip((0, size - 1), proofs, strict=True)
    ]


def test_L_go_refuses_what_was_altered(tmp_path: Path) -> None:
    """Go finds a flipped bit of the tile that a root is made of: its reading does not follow ours."""
    from audit_trails import flip, signer

    whole(tmp_path, 300)
    flip(tmp_path / "tile/0/001.p/44", 77)
    found = read(tmp_path, NoteKey(ORIGIN, signer().public, "EdDSA"), 0)
    assert (found.returncode, found.stdout) == (1, "")
