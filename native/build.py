"""Name the C files, the flags and the libcrypto of the compiled module, and hand them to cffi.

The declarations that Python sees are the regions of the headers between ``rj-cdef-begin`` and
``rj-cdef-end``; nothing is declared twice. Environment variables, all optional:

- ``RAPIDJWS_OPENSSL_PREFIX``: link the static libcrypto of this prefix instead of the system's.
- ``RAPIDJWS_SANITIZE``: a ``-fsanitize=`` list, for instance ``address,undefined``.
- ``RAPIDJWS_WERROR``: ``1`` turns warnings into errors.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import cffi

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent

HEADERS = (
    "batch_max.h",
    "status.h",
    "span.h",
    "core/alg.h",
    "text/base64url.h",
    "text/claim_rules.h",
    "text/claims.h",
    "text/metric_histograms.h",
    "text/metric_lines.h",
    "core/counters.h",
    "core/runtime.h",
    "core/precomputed.h",
    "core/key.h",
    "core/keytable.h",
    "core/headertable.h",
    "core/snapshot.h",
    "core/token.h",
    "core/batch.h",
    "core/column.h",
    "core/trail.h",
    "core/trail_content.h",
    "core/signatures.h",
    "core/stream.h",
    "core/primitives.h",
    "python/python_module.h",
)
"""In the order in which the cdef regions need each other."""

SOURCES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in NATIVE.rglob("*.c")))
"""Every C file below native/: a file that is there is in the module."""

WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wconversion",
    "-Werror=implicit-function-declaration",
)


def version() -> str:
    """Return the package's version, read from the one place that holds it."""
    text = (ROOT / "src" / "rapidjws" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("src/rapidjws/_version.py holds no __version__")
    return found.group(1)


def declarations() -> str:
    """Return the cdef: every marked region of the headers, without the attribute that cffi cannot read."""
    regions = []
    for header in HEADERS:
        text = (NATIVE / header).read_text(encoding="utf-8")
        found = re.findall(r"/\* rj-cdef-begin \*/\n(.*?)/\* rj-cdef-end \*/", text, re.DOTALL)
        regions += [re.sub(r"RJ_MUST_CHECK\s+", "", region) for region in found]
    return re.sub(r"^(#define \w+ \S+)\s*/\*.*\*/$", r"\1", "\n".join(regions), flags=re.MULTILINE)


def pkg_config(*words: str) -> list[str]:
    """Return what pkg-config answers about libcrypto, split into words."""
    try:
        answer = subprocess.run(
            ["pkg-config", *words, "libcrypto >= 3.0"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as fault:
        raise SystemExit(
            f"libcrypto >= 3.0 was not found by pkg-config (Debian: libssl-dev): {fault}"
        ) from None
    return answer.stdout.split()


def libcrypto_options() -> dict[str, list[str]]:
    """Return where libcrypto lies and how to link it."""
    prefix = os.environ.get("RAPIDJWS_OPENSSL_PREFIX")
    if not prefix:
        return {"extra_compile_args": pkg_config("--cflags"), "extra_link_args": pkg_config("--libs")}
    base = Path(prefix)
    if sys.platform == "win32":
        return {
            "include_dirs": [str(base / "include")],
            "library_dirs": [str(base / "lib")],
            "libraries": ["libcrypto", "ws2_32", "advapi32", "crypt32", "user32"],
        }
    folder = next((base / name for name in ("lib64", "lib") if (base / name / "libcrypto.a").exists()), None)
    if folder is None:
        raise SystemExit("RAPIDJWS_OPENSSL_PREFIX holds no libcrypto.a")
    hidden = {
        "linux": [f"-Wl,--version-script={NATIVE / 'exports.map'}"],
        "darwin": ["-Wl,-exported_symbol,_PyInit__rapidjws"],
    }.get(sys.platform, [])
    return {
        "include_dirs": [str(base / "include")],
        "extra_link_args": [str(folder / "libcrypto.a"), *hidden, "-lpthread"],
    }


def compile_args() -> list[str]:
    """Return the compiler's flags for this platform."""
    if sys.platform == "win32":
        return ["/O2", "/std:c11", "/experimental:c11atomics"]
    flags = ["-std=gnu11", "-O3", "-fvisibility=hidden", "-fno-semantic-interposition", *WARNINGS]
    if os.environ.get("RAPIDJWS_WERROR") == "1":
        flags.append("-Werror")
    return flags


def sanitizer_args() -> list[str]:
    """Return the sanitizers' flags, none by default."""
    wanted = os.environ.get("RAPIDJWS_SANITIZE")
    return [f"-fsanitize={wanted}", "-fno-omit-frame-pointer", "-g1", "-O1"] if wanted else []


def builder() -> cffi.FFI:
    """Return the FFI that setuptools compiles into ``rapidjws._rapidjws``."""
    libcrypto = libcrypto_options()
    ffi = cffi.FFI()
    ffi.cdef(declarations())
    ours = int(bool(os.environ.get("RAPIDJWS_OPENSSL_PREFIX")))
    ffi.set_source(
        "rapidjws._rapidjws",
        '#include "rapidjws.h"\n',
        sources=list(SOURCES),
        include_dirs=["native", *libcrypto.get("include_dirs", [])],
        library_dirs=libcrypto.get("library_dirs", []),
        libraries=libcrypto.get("libraries", []),
        define_macros=[
            ("RJ_VERSION", f'"{version()}"'),
            ("RJ_OWN_LIBCRYPTO", str(ours)),
            ("RJ_FREE_THREADED", str(int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))))),
        ],
        extra_compile_args=[*compile_args(), *libcrypto.get("extra_compile_args", []), *sanitizer_args()],
        extra_link_args=[*libcrypto.get("extra_link_args", []), *sanitizer_args()],
        depends=[path.relative_to(ROOT).as_posix() for path in sorted(NATIVE.rglob("*.h"))],
    )
    return ffi


ffibuilder = builder()
