"""Every file of this package is opened by one module, or stands here with the reason why not."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import rapidjws
from rapidjws.jose.limits import JWKS_STATIC_MAX_BYTES

SOURCE = Path(next(iter(rapidjws.__path__)))
OPENERS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "fdopen", "FileIO"}
ELSEWHERE = {
    "listeners": "the lock beside a socket, opened with O_NOFOLLOW; and /proc, to name who holds a port",
    "_locks": "locks, by the flags of _files and checked on the descriptor",
    "streaming": "a payload that the caller names: its signature is what makes it trusted",
    "config": "a new file that must not be there",
    "statement": "an artifact that the caller names: its digest is what is compared",
    "checking": "a log that the caller names: what was signed is what it is compared with",
    "signed_logs": "what the user of a command names, as cat would read it",
    "runs": "a Parquet file that the caller names, read by pyarrow; its tokens are what is verified",
    "bulk": "what the user of a command names, as cat would read it",
    "files": "what the user of a command names: anybody's file, or a shell's pipe, up to a bound",
    "verify": "what the user of a command names, as cat would read it",
    "benchmarks": "figures of a user's own tests",
    "jwks_client": "opener.open() is a connection, no file",
    "source_findings": "sources that the user of a command names, parsed and not executed",
    "kit": "a digest of what a partner sent, which nothing trusts",
    "schema": "a partner's file, opened with the flags of _files, and every fault of it a row of the report",
    "runbooks": "text of this package itself",
    "evidence_bundle": "text of this package itself",
    "dashboards": "text of this package itself",
    "status_page": "text of this package itself",
    "_inputs": "files that the user of a command names: anybody's, but no device and no pipe",
    "log_reader": "logs that the user of a command names, as cat would read them",
    "testbed": "a scratch folder of its own; and /proc, for the worker processes that it started",
    "prometheus": "a scratch folder of its own",
    "scenarios": "a scratch folder of its own",
    "rehearsals": "a scratch folder of its own",
    "exercise": "a scratch folder of its own",
    "pkcs11": "token.open() is a session of a device, no file",
    "pkcs11_library": "token.open() is a session of a device, no file",
    "pkcs11_key_maker": "token.open() is a session of a device, no file",
    "redis_channel": "follower.open() is a subscription, no file",
}
"""Name of a module -> why it opens files itself."""


def opened(tree: ast.AST) -> bool:
    """Return whether a module opens files by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in OPENERS:
                return True
    return False


def test_S7_one_module_opens_what_is_trusted() -> None:
    """A module that opens a file is in the list with a reason, and the list names no other."""
    found = {path.stem for path in SOURCE.rglob("*.py") if opened(ast.parse(path.read_text("utf-8")))}
    assert found - {"_files"} == set(ELSEWHERE)


def test_S7_keys_that_others_may_write_are_refused(tmp_path: Path) -> None:
    """A file of keys that anybody may write to is refused, by its mode; a large one by its size."""
    path = tmp_path / "keys.json"
    path.write_text('{"keys": []}')
    path.chmod(0o666)
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        rapidjws.Verifier(path, algorithms=["ES256"])
    assert "chmod go-w" in str(refused.value)
    path.chmod(0o600)
    os.truncate(path, JWKS_STATIC_MAX_BYTES + 1)
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        rapidjws.Verifier(path, algorithms=["ES256"])
    assert "larger than" in str(refused.value)
    with pytest.raises(rapidjws.ConfigurationError):
        rapidjws.Verifier(tmp_path / "none.json", algorithms=["ES256"])
