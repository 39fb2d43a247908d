"""No module opens a file for writing by itself: a search over the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.source_tree

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rapidjws"
OPENERS = re.compile(r"O_(WRONLY|RDWR|CREAT|APPEND|TRUNC)")
WRITING_MODE = re.compile(r"'[rbt]*[wax+][rbtwax+]*'")
CALLS_ELSEWHERE = {
    "os.replace", "os.rename", "os.link", "os.symlink", "os.write", "os.pwrite", "os.truncate",
    "os.ftruncate", "os.fdopen", "os.mkfifo", "shutil.move", "shutil.copy", "shutil.copyfile",
    "tempfile.mkstemp",
    "tempfile.NamedTemporaryFile", "tempfile.TemporaryFile", "fcntl.flock", "fcntl.lockf",
}  # fmt: skip
METHODS_ELSEWHERE = {"write_text", "write_bytes", "hardlink_to", "symlink_to", "rename"}


def writing_calls(text: str) -> Iterator[str]:
    """Yield what a module opens for writing, or renames, by itself."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        words = [ast.unparse(word) for word in (*node.args, *(one.value for one in node.keywords))]
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        is_open = name == "os.open" and any(OPENERS.search(word) for word in words)
        if name in ("open", "io.open") or method == "open":
            is_open = is_open or any(WRITING_MODE.fullmatch(word) for word in words)
        if name in CALLS_ELSEWHERE or method in METHODS_ELSEWHERE or is_open:
            yield name
        elif method == "replace" and len(node.args) == 1 and not node.keywords and "_files" not in name:
            yield name  # Path.replace; that of text has two arguments
        elif name == "mmap.mmap" and words[:1] != ["-1"]:
            yield name


def test_S7_nothing_else_writes_files() -> None:
    """No module but two opens a file for writing, renames one, locks one or maps one."""
    found = {
        str(path.relative_to(SOURCE)): list(writing_calls(path.read_text("utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name not in ("_files.py", "_locks.py")
    }
    assert {name: calls for name, calls in found.items() if calls} == {
        "audit/worker_counts.py": ["os.ftruncate", "mmap.mmap"],  # 16 octets of its own, under a lock
        "rollout/revision.py": ["mmap.mmap"],  # of a file that nobody but itself knows
        "cli/config.py": ["file.open"],  # a new configuration, refused where a file lies
        "contract/rehearsals.py": [
            "bundle.write_bytes"
        ],  # the bit that a rehearsal's own trail must not survive
        "contract/schema.py": ["os.fdopen"],  # a descriptor opened for reading
        "gameday/prometheus.py": ["(self._folder / 'log').open"],  # of a program, in a folder of its own
        "gameday/testbed.py": ["(self.folder / 'sidecar.log').open"],  # likewise
        "observe/log_writer.py": ["os.write"],  # a descriptor that ``_files`` opened, or standard error
        "sidecar/listeners.py": ["fcntl.flock"],  # the lock beside a Unix socket
        "sidecar/sequencer_process.py": ["os.write"],  # the pipe to the supervisor
        "sidecar/server.py": ["os.write"],  # likewise
        "sidecar/worker.py": ["os.write", "os.write"],  # likewise
    }


@pytest.mark.parametrize("text", [
    "os.replace(a, b)", "open(p, 'wb')", "p.open('a')", "open(p, mode='r+b')", "os.open(p, os.O_RDWR)",
    "p.write_text(t)", "Path(p).replace(q)", "tempfile.mkstemp()", "mmap.mmap(f, 8)",
    "os.open(p, os.O_CREAT)",
])  # fmt: skip
def test_S7_the_search_for_writers_sees(text: str) -> None:
    """The search names each way to write a file, and leaves reading and text alone."""
    assert list(writing_calls(text)) != []
    for harmless in (
        "open(p, 'rb')",
        "p.open()",
        "t.replace('a', 'b')",
        "mmap.mmap(-1, 8)",
        "replace(x, a=1)",
    ):
        assert list(writing_calls(harmless)) == []
