"""Every extra that users can install has code that uses it (A2)."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.source_tree

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORTED_AS = {
    "azure-keyvault-keys": "azure",
    "common-expression-language": "cel",
    "google-cloud-kms": "google",
    "hobofan-regorus": "hobofan_regorus",
    "djangorestframework": "rest_framework",
    "grpcio": "grpc",
    "python-pkcs11": "pkcs11",
    "opentelemetry-api": "opentelemetry",
    "opentelemetry-sdk": "opentelemetry",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
}
OF_OTHERS = {
    *("AllowAny", "EXCEPTION_HANDLER", "before_request"),  # Django REST framework, Flask
    *("id_token_signed_response_alg", "https_web"),  # OpenID Connect Registration, SPIFFE
    *("envoy", "filters", "http", "ext_authz", "allowed_headers"),  # Envoy
    *("allow_partial_message", "pack_as_bytes"),  # Envoy
    *("RULE_", "encode_raw_headers", "k"),
    *("EVAL", "SANITIZE_SET", "Cert", "APPEND_FORWARD"),  # Redis, Envoy
}
NOT_IMPORTED = {"hiredis": "redis-py uses it by itself where it is installed"}


def imports_of(folder: Path) -> set[str]:
    """Return the top-level packages that the sources of a folder import, by statement or by name."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_A2_extras_have_code() -> None:
    """Each package of an extra is imported under src, and ``all`` names every extra."""
    imported = imports_of(ROOT / "src")
    unused = []
    for extra, requirements in EXTRAS.items():
        for requirement in requirements if extra != "all" else ():
            name = re.split(r"[\[<>=!~;\s]", requirement)[0]
            if name not in NOT_IMPORTED and IMPORTED_AS.get(name, name).replace("-", "_") not in imported:
                unused.append(f"{extra}: {name}")
    assert unused == []
    (everything,) = EXTRAS["all"]
    named = set(re.findall(r"[\w-]+", everything[everything.index("[") :]))
    assert named == set(EXTRAS) - {"all"}


def names_in(text: str) -> set[str]:
    """Return every identifier of a source outside its docstrings."""
    return set(re.findall(r"[A-Za-z_]\w*", re.sub(r'"""(.|\n)*?"""', "", text)))


def test_A2_docstrings_name_what_exists() -> None:
    """A function that a docstring refers to in double back-ticks is somewhere in the tree."""
    sources = [*(ROOT / "src").rglob("*.py*"), *(ROOT / "native").rglob("*.[ch]")]
    texts = {path: path.read_text("utf-8") for path in sources if path.suffix in {".py", ".pyi", ".c", ".h"}}
    known = set().union(*(names_in(text) for text in texts.values())) | OF_OTHERS
    missing = []
    for path, text in texts.items():
        for docstring in re.findall(r'"""(?:.|\n)*?"""', text) if path.suffix == ".py" else ():
            for name in re.findall(r"``([A-Za-z_][\w.]*)(?:\(\))?``", docstring):
                missing += [f"{path.name}: {name}" for part in name.split(".") if part not in known]
    assert missing == []
