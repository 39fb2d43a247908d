"""What `import rapidjws` loads, and that names which load on first use behave like any others.

Modules are counted here, not milliseconds: `make wheels` measures those, on the wheel itself.
"""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import rapidjws
from rapidjws._lazy import lazy_names

# other people's packages that belong to an extra
EXTRAS = {
    "aiohttp", "azure", "boto3", "envoy", "fastapi", "google", "grpc", "httptools", "hvac", "opentelemetry",
    "pkcs11", "prometheus_client", "pyarrow", "pydantic", "pyspark", "redis", "rich", "starlette", "typer",
    "uvloop",
}  # fmt: skip
# what costs milliseconds and few need: an event loop, TLS, pyca
HEAVY = {
    "asyncio", "cryptography", "email", "hmac", "http", "httpcore2", "multiprocessing", "random", "secrets",
    "socket", "ssl", "subprocess", "tempfile", "urllib",
}  # fmt: skip
if sys.version_info < (3, 11):
    HEAVY -= {"subprocess"}  # orjson loads uuid, which loads it there
# what an engine's classes are made with; `import rapidjws` alone does without
ENGINE = {"dataclasses", "inspect", "json"}
# what an engine needs from its making on, lest a first import be half done when a process forks
LATER = {
    "base64",
    "concurrent",
    "datetime",
    "decimal",
    "hashlib",
    "logging",
    "mmap",
    "orjson",
    "platform",
    "uuid",
}
MODULES_ABOVE = {"cli", "config", "keys", "middleware", "rollout", "signing", "stores", "testing"}
DIAGNOSE = {"rapidjws.diagnose", "rapidjws.diagnose.face"}


def loaded_by(code: str) -> set[str]:
    """Give the modules that a fresh interpreter loads for this code, beyond those of its own start."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def tops(modules: set[str]) -> set[str]:
    """Give the names of the top packages."""
    return {name.partition(".")[0] for name in modules}


def modules_of(modules: set[str]) -> set[str]:
    """Give the modules of this package."""
    return {name.split(".")[1] for name in modules if name.startswith("rapidjws.")}


def test_import_loads_the_binary_and_little_else() -> None:
    """`import rapidjws` loads and checks the compiled module, and none of what an engine needs."""
    modules = loaded_by("import rapidjws")
    assert tops(modules) & (EXTRAS | HEAVY | ENGINE | LATER | {"contextlib", "re", "typing"}) == set()
    assert modules_of(modules) == {"_lazy", "_native", "_rapidjws", "_version", "diagnose"}
    assert {name for name in modules if name.startswith("rapidjws.diagnose")} == DIAGNOSE


def test_an_engine_loads_nothing_heavy() -> None:
    """All public names together load no event loop, no TLS, no pyca and no higher module."""
    modules = loaded_by("from rapidjws import *")
    assert "rapidjws.jwt.engine" in modules
    assert tops(modules) & (EXTRAS | HEAVY) == set()
    assert modules_of(modules) & MODULES_ABOVE == set()
    assert {name for name in modules if name.startswith("rapidjws.diagnose")} == DIAGNOSE


def test_an_engine_is_imported_without_what_it_needs_once_made() -> None:
    """`from rapidjws import Engine` leaves threads, logging and the JSON parser to its making."""
    modules = loaded_by("from rapidjws import Engine, Issuer, Verifier, JWKSet")
    assert tops(modules) & LATER == set()
    assert "rapidjws.jose.claim_pattern" not in modules
    made = loaded_by(
        f"from rapidjws import Verifier, JWK\nVerifier(JWK.from_secret({'x' * 32!r}), algorithms=['HS256'])"
    )
    needed = {"concurrent", "decimal", "hashlib", "logging", "mmap"}
    assert needed <= tops(made), "an import that a fork interrupts never ends in the child"


def test_the_middleware_loads_no_framework() -> None:
    """`rapidjws.middleware` is there without any framework: each framework has a module of its own."""
    assert tops(loaded_by("from rapidjws.middleware import *")) & EXTRAS == set()


def test_the_list_of_commands_imports_no_command() -> None:
    """`rapidjws --help` loads nothing that a command needs, and a command loads no other."""
    pytest.importorskip("typer", reason="the extra `cli` is not installed")
    run = "import sys; sys.argv[1:] = {}\nfrom rapidjws.cli import main\ntry: main()\nexcept SystemExit: pass"
    helped = loaded_by(run.format(["--help"]))
    assert {name for name in helped if name.startswith("rapidjws.cli.")} == {"rapidjws.cli.app"}
    assert modules_of(helped) == {"_lazy", "_native", "_rapidjws", "_version", "cli", "diagnose"}
    assert tops(helped) & {"asyncio", "cryptography", "httpcore2", "orjson", "ssl"} == set()
    version = loaded_by(run.format(["version"]))
    assert {name for name in version if name.startswith("rapidjws.cli.")} == {
        "rapidjws.cli.app",
        "rapidjws.cli.version",
    }


def test_a_sidecar_by_files_loads_no_http_client() -> None:
    """What fetches and mails is loaded where it is configured, and not with ``rapidjws serve``."""
    pytest.importorskip("typer", reason="the extra `cli` is not installed")
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    served = loaded_by("import rapidjws.cli.service, rapidjws.sidecar.worker, rapidjws.keys.fetch_schedule")
    others = {"httpcore2", "h11", "h2", "anyio", "grpc", "opentelemetry", "pydantic", "rich", "typer"}
    assert tops(served) & others == set()
    left_out = {
        "cryptography.x509",
        "rapidjws.audit",
        "rapidjws.authz.authorizer",
        "rapidjws.cli.notify",
        "rapidjws.cli.rollout",
        "rapidjws.config.introspection_section",
        "rapidjws.config.senders",
        "rapidjws.config.signal_section",
        "rapidjws.introspection",
        "rapidjws.keys.discovered",
        "rapidjws.keys.https_network",
        "rapidjws.keys.x5c",
        "rapidjws.sender.constraints",
        "rapidjws.config.status_list_section",
        "rapidjws.signals",
        "rapidjws.signing",
        "rapidjws.statuslist",
    }
    assert left_out & served == set()


def test_star_import_and_dir_show_every_name() -> None:
    """Names that are not loaded yet are in `dir()`, and a star import brings them all."""
    code = (
        "import rapidjws; assert set(rapidjws.__all__) <= set(dir(rapidjws))\n"
        "assert 'Engine' not in vars(rapidjws)\n"
        "from rapidjws import *\n"
        "assert not set(rapidjws.__all__) - {'__version__'} - set(globals()), 'a name was left out'\n"
        "assert 'Engine' in vars(rapidjws)"
    )
    assert "rapidjws.jwt.engine" in loaded_by(code)


def test_diagnose_is_a_function_whatever_was_loaded() -> None:
    """The sub-package of the same name never takes the function's place."""
    code = (
        "import rapidjws\nassert callable(rapidjws.diagnose)\n"
        "import rapidjws.diagnose.examine, rapidjws.diagnose.report\nassert callable(rapidjws.diagnose)\n"
        "from rapidjws.diagnose import Report\nassert Report.__module__ == 'rapidjws.diagnose.report'"
    )
    assert "rapidjws.diagnose.examine" in loaded_by(code)


def test_sub_packages_are_found_without_an_import() -> None:
    """`rapidjws.jwt`, `rapidjws.errors` and `rapidjws.jose` are attributes from the start."""
    code = "import rapidjws\nrapidjws.errors.CODES, rapidjws.jose.JWK, rapidjws.jwt.__doc__"
    assert "rapidjws.jose.jwk" in loaded_by(code)


def test_unknown_names_are_refused() -> None:
    """A name that nobody promised is an AttributeError that says which, and no import."""
    with pytest.raises(AttributeError, match="module 'rapidjws' has no attribute 'engin'") as refused:
        _ = rapidjws.engin  # type: ignore[attr-defined]
    assert refused.value.name == "engin"
    with pytest.raises(ImportError):
        from rapidjws import Enginee  # type: ignore[attr-defined] # noqa: F401


def test_lazy_names_are_the_same_object_on_every_thread() -> None:
    """Threads that all ask for a name that nobody loaded yet get one and the same class."""
    code = (
        "import threading, rapidjws\n"
        "start, got = threading.Barrier(8), []\n"
        "def ask():\n"
        "    start.wait(); got.append((rapidjws.Engine, rapidjws.Verifier, rapidjws.JWKSet))\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "assert len(got) == 8 and len(set(got)) == 1, got"
    )
    assert "rapidjws.jwt.engine" in loaded_by(code)


def test_pickles_come_back_in_a_process_that_loaded_nothing() -> None:
    """A pickled value of the package names its home, which a fresh interpreter loads by itself."""
    pickled = pickle.dumps((rapidjws.Rejected, rapidjws.Revocation(kid="a"), rapidjws.diagnose))
    code = (
        f"import pickle\nkind, revoked, explain = pickle.loads({pickled!r})\n"
        "import rapidjws\nassert kind is rapidjws.Rejected and explain is rapidjws.diagnose\n"
        "assert revoked == rapidjws.Revocation(kid='a')"
    )
    assert "rapidjws.verify.revocations" in loaded_by(code)


def test_a_home_that_fails_is_not_hidden() -> None:
    """An ImportError inside a home comes through; nothing is remembered in its place."""
    getattr_, dir_ = lazy_names("rapidjws.jose", {"rapidjws.jose.no_such_home": ("thing",)})
    with pytest.raises(ModuleNotFoundError, match="no_such_home"):
        getattr_("thing")
    assert "thing" in dir_()
    assert not hasattr(rapidjws.jose, "thing")
