"""The doors of the package: what `__init__` files show, and what importing it must not drag in."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rapidjws"

# What `import rapidjws` may load of other people's packages: the core's dependencies, no extra.
OPTIONAL = {
    "boto3", "envoy", "grpc", "httptools", "hvac", "opentelemetry", "pkcs11", "prometheus_client",
    "pyarrow", "pyspark", "redis", "rich", "typer", "uvloop",
}  # fmt: skip


def faults_of(text: str, *, needs_all: bool = True, entry_point: str = "") -> list[str]:
    """List what an `__init__` holds besides re-exports and an entry point, and where `__all__` is untrue."""
    exported: list[str] | None = None
    bound: set[str] = set()
    faults = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
                bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            exported = ast.literal_eval(node.value)
        elif entry_point and isinstance(node, ast.FunctionDef) and node.name == entry_point:
            continue
        else:
            faults.append(f"line {node.lineno}: not a re-export")
    if exported is None:
        return [*faults, "no __all__"] if needs_all or (bound and not entry_point) else faults
    if list(exported) != sorted(exported):
        faults.append("__all__ is not sorted")
    if len(set(exported)) != len(exported):
        faults.append("__all__ names something twice")
    public = {name for name in bound if not name.startswith("_") or name == "__version__"}
    faults += [f"__all__ promises {name}, which is not imported" for name in sorted(set(exported) - bound)]
    faults += [f"{name} is imported but not in __all__" for name in sorted(public - set(exported))]
    return faults


@pytest.mark.source_tree
def test_inits_only_re_export() -> None:
    """Each `__init__` only re-exports, with a sorted and true `__all__`."""
    found = {}
    for path in sorted(SOURCE.rglob("__init__.py")):
        name = str(path.relative_to(SOURCE).parent)
        entry_point = "main" if name == "cli" else ""  # named by [project.scripts]; works without its extra
        found[name] = faults_of(path.read_text("utf-8"), needs_all=name == ".", entry_point=entry_point)
    assert found, "no package found"
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from a import b, c\n__all__ = ['c', 'b']", "not sorted"),
        ("from a import b\n__all__ = ['b', 'c']", "promises c"),
        ("from a import b, c\n__all__ = ['b']", "c is imported"),
        ("from a import b\n__all__ = ['b', 'b']", "twice"),
        ("from a import b\n__all__ = ['b']\ndef f(): ...", "not a re-export"),
        ("from a import b", "no __all__"),
    ],
)
def test_export_checker_sees(text: str, expected: str) -> None:
    """The checker names each kind of untrue door."""
    (fault,) = faults_of(text)
    assert expected in fault


def test_export_checker_lets_pass() -> None:
    """The checker accepts a docstring, imports and a sorted list."""
    assert (
        faults_of("'''x.'''\nfrom __future__ import annotations\nfrom a import C, b\n__all__ = ['C', 'b']")
        == []
    )


def test_promised_names_exist() -> None:
    """Every name in `rapidjws.__all__` is there, and every one but the version says what it is."""
    import rapidjws

    missing = [name for name in rapidjws.__all__ if not hasattr(rapidjws, name)]
    assert missing == []
    callables = [name for name in rapidjws.__all__ if callable(getattr(rapidjws, name))]
    assert [name for name in callables if not getattr(rapidjws, name).__doc__] == []


def test_import_loads_no_extra() -> None:
    """`import rapidjws` loads none of the optional packages."""
    code = "import json, sys, rapidjws; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert OPTIONAL & set(json.loads(answer.stdout)) == set()
