"""PyJWT's own test suite, run over ``rapidjws.compat.pyjwt``; its agreement is printed, and bounded.

The sdist is pinned by SHA-256 and fetched by pip into build/pyjwt, which git ignores. This file is also the
plugin of pytest that lets ``import jwt`` find this package. A test that differs without standing in
``DIFFERENCES`` fails the run; docs/migration/pyjwt-compat.md has a line for each of these.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import os
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "pyjwt"
VERSION = "2.15.1"
SHA256 = "4f259e80cdfb6b3fc18a7de51fd1ef9ec79652f25019bae68975ca2468a34df8"
MIN_ALL = 0.90
MIN_DECODE = 0.97
TIMEOUT_S = 570
OUTCOMES = "PYJWT_SUITE_OUTCOMES"
MODULES = (
    "algorithms api_jwk api_jws api_jwt exceptions jwk_set_cache jwks_client types utils warnings".split()
)

NONE = "none"
KEY_TEXT = "key text"
STRICT_JSON = "strict JSON"
DIFFERENCES = {
    "test_unregister_algo_removes_algorithm": NONE,
    "test_algo_parameter_removes_alg_from_algorithms_list": NONE,
    "test_encode_with_headers_alg_none": NONE,
    "test_decode_with_algo_none_should_fail": NONE,
    "test_decode_with_algo_none_and_verify_false_should_pass": NONE,
    "test_hmac_should_accept_incomplete_pem_marker": KEY_TEXT,
    "test_decode_payload_recursion_error_throws_decode_error": STRICT_JSON,
    "test_get_signing_key_from_jwt_rejects_payload_recursion_error": STRICT_JSON,
}
"""Tests that do not agree, and which difference of the table they are about."""


def fetched() -> Path:
    """Return the folder of the suite, fetched where it is not there.

    Raises:
        ValueError: The sdist is not the one that is pinned.
        OSError: It cannot be fetched.
    """
    sdist = FOLDER / f"pyjwt-{VERSION}.tar.gz"
    if not sdist.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--no-binary", ":all:", "--dest", str(FOLDER), f"pyjwt=={VERSION}"]
        if subprocess.run([*command, *options], timeout=TIMEOUT_S, check=False).returncode:
            raise OSError(f"pip could not fetch pyjwt {VERSION}")
    octets = sdist.read_bytes()
    if hashlib.sha256(octets).hexdigest() != SHA256:
        raise ValueError(f"{sdist.name} is not the one that is pinned")
    suite = FOLDER / "suite"
    with tarfile.open(sdist) as tar:
        for member in tar:
            inner = Path(*Path(member.name).parts[1:])
            stream = tar.extractfile(member) if member.isfile() and inner.parts[:1] == ("tests",) else None
            if stream is not None and ".." not in inner.parts:
                (suite / inner).parent.mkdir(parents=True, exist_ok=True)
                (suite / inner).write_bytes(stream.read())
    return suite


def pytest_configure() -> None:
    """Let ``import jwt`` find this package; called by pytest."""
    package = "rapidjws.compat.pyjwt"
    sys.modules["jwt"] = importlib.import_module(package)
    for name in MODULES:
        sys.modules[f"jwt.{name}"] = importlib.import_module(f"{package}.{name}")


def is_decode_test(item: Any) -> bool:
    """Say whether a test is about decoding: by its name, or because it calls ``decode``."""
    name = item.name.partition("[")[0]
    tree = ast.parse(textwrap.dedent(inspect.getsource(item.function)))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
    }
    return "decode" in name or bool(called & {"decode", "decode_complete"})


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Note which tests are about decoding; called by pytest."""
    for item in items:
        item.user_properties.append(("decode", is_decode_test(item)))


_outcomes: dict[str, tuple[str, bool]] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Note the outcome of a test: of its call, or of what failed before it; called by pytest."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = (report.outcome, dict(report.user_properties).get("decode", False))


def pytest_sessionfinish() -> None:
    """Write the outcomes; called by pytest."""
    Path(os.environ[OUTCOMES]).write_text(json.dumps(_outcomes), "utf-8")


def outcomes_of(suite: Path) -> dict[str, tuple[str, bool]]:
    """Run the suite; return outcome and kind of each test.

    Raises:
        OSError: It did not come to its end.
    """
    written = FOLDER / "outcomes.json"
    written.unlink(missing_ok=True)
    path = os.pathsep.join([str(Path(__file__).parent), str(suite)])
    environment = {**os.environ, "PYTHONPATH": path, OUTCOMES: str(written)}
    command = [sys.executable, "-m", "pytest", "-p", "pyjwt_suite", "-p", "no:cacheprovider", "-q"]
    more = ["-p", "no:xdist", "-W", "ignore", "--tb=no", "--no-summary", "-c", os.devnull, "--rootdir", "."]
    subprocess.run(
        [*command, *more, "tests"],
        cwd=suite,
        env=environment,
        timeout=TIMEOUT_S,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return {name: (one[0], one[1]) for name, one in json.loads(written.read_text("utf-8")).items()}


def name_of(node: str) -> str:
    """Return the name of a test's function."""
    return node.rpartition("::")[2].partition("[")[0]


def main() -> int:
    """Print how many tests agree; return 1 where too few do, or one differs without a reason."""
    outcomes = {node: one for node, one in outcomes_of(fetched()).items() if one[0] != "skipped"}
    print(f"pyjwt {VERSION}: {len(outcomes)} tests over rapidjws.compat.pyjwt")
    is_good = len(outcomes) > 400
    for words, chosen, least in (
        ("all tests", list(outcomes), MIN_ALL),
        ("decode tests", [node for node, one in outcomes.items() if one[1]], MIN_DECODE),
    ):
        agreeing = sum(outcomes[node][0] == "passed" for node in chosen)
        share = agreeing / max(len(chosen), 1)
        is_good &= share >= least
        print(f"{words}: {agreeing} of {len(chosen)} agree, {share:.1%} (at least {least:.0%})")
    for node, (outcome, _) in outcomes.items():
        if outcome != "passed":
            reason = DIFFERENCES.get(name_of(node))
            is_good &= reason is not None
            print(f"differs: {node}: {reason or 'NOT EXPECTED'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
