"""Several libcryptos in one process: ours, pyca/cryptography's, the system's; none reaches into another.

What only a libcrypto inside the module can promise is asked where there is one: in the wheels.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import elf
import pytest
import tokens
from processes import run_python

import rapidjws
from rapidjws import _native

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files, preloads shared objects")

MODULE = Path(sys.modules["rapidjws._rapidjws"].__file__ or "")
OURS = rapidjws.backends().libcrypto_is_ours
ours_only = pytest.mark.skipif(not OURS, reason="the libcrypto is the system's: the wheels have their own")
SYSTEM = ctypes.util.find_library("crypto")
FOREIGN = Path(__file__).resolve().parents[1] / "native" / "foreign_libcrypto.c"

VERDICTS = """
import json
import rapidjws, tokens
def verdicts():
    found = []
    for alg in rapidjws.ALGORITHMS:
        if rapidjws.backends().algorithms[alg] != "libcrypto":
            continue
        good = tokens.token(alg)
        front, _, text = good.rpartition(".")
        octets = bytearray(tokens.b64url_decode(text))
        octets[len(octets) // 2] ^= 1
        forged = front + "." + tokens.b64url(bytes(octets))
        for acceleration in ("auto", "openssl"):
            made = rapidjws.Verifier(tokens.public(alg), algorithms=[alg], acceleration=acceleration)
            made.precompute()
            found += [[alg, acceleration, tokens.code_of(made, good), tokens.code_of(made, forged)]]
    return found
def outcome():
    return json.dumps([verdicts(), rapidjws.backends().libcrypto, rapidjws.backends().algorithms])
"""


def outcome(before: str = "", **environment: str) -> tuple[str, dict[str, str]]:
    """Give libcrypto's name and the backends of a fresh process, whose every verdict was checked.

    Args:
        before: Code that it runs before it imports rapidjws.
        environment: Variables of its own.
    """
    printed = run_python(f"{before}\n{VERDICTS}\nprint(outcome())", bare=True, **environment)
    verdicts, libcrypto, algorithms = json.loads(printed)
    native = [name for name, backend in algorithms.items() if backend == "libcrypto"]
    assert [row[0] for row in verdicts] == [name for name in native for _ in ("auto", "openssl")]
    assert [row for row in verdicts if row[2:] != ["ok", "signature_invalid"]] == []
    return libcrypto, algorithms


def preloaded(library: str) -> str:
    """Give the preload list with one more library at its end: a sanitizer's own stays first."""
    return " ".join(filter(None, [os.environ.get("LD_PRELOAD"), library]))


def test_the_module_gives_its_init_function_only() -> None:
    """Nothing in the process can bind to a symbol of ours or of the libcrypto inside."""
    assert elf.shared(MODULE).defined - {"_cffi_pypyinit__rapidjws"} == {"PyInit__rapidjws"}


@ours_only
def test_the_module_asks_for_no_libcrypto() -> None:
    """No function of libcrypto is looked up in the process, and no library beside the C library is needed."""
    found = elf.shared(MODULE)
    assert not [name for name in found.needed if name.startswith(("libcrypto", "libssl"))]
    strange = {name for name in found.undefined if name.startswith(("EVP_", "OPENSSL_", "ERR_", "CRYPTO_"))}
    assert strange == set()
    assert {"EVP_DigestVerify", "OpenSSL_version"} & (found.defined | found.undefined) == set()


def test_errors_of_pyca_stay_its_own() -> None:
    """An error in pyca/cryptography's queue outlives our verdicts, turns none, and never enters ours."""
    binding = pytest.importorskip("cryptography.hazmat.bindings.openssl.binding").Binding()
    lib, ffi = binding.lib, binding.ffi
    if not hasattr(lib, "ERR_peek_error") or not hasattr(lib, "PEM_read_bio_PrivateKey"):
        pytest.skip("this pyca/cryptography shows nothing of its libcrypto's errors")
    verifier = rapidjws.Verifier(tokens.public("ES256"), algorithms=["ES256"], acceleration="openssl")
    good = tokens.token()
    forged = good.rpartition(".")[0] + "." + tokens.b64url(b"\xff" * 64)
    junk = b"no PEM"
    for _ in range(50):
        lib.ERR_clear_error()
        bio = lib.BIO_new_mem_buf(junk, len(junk))
        assert lib.PEM_read_bio_PrivateKey(bio, ffi.NULL, ffi.NULL, ffi.NULL) == ffi.NULL
        lib.BIO_free(bio)
        theirs = lib.ERR_peek_error()
        assert theirs, "pyca/cryptography's libcrypto noted no error"
        assert _native.error_queue_len() == 0
        assert tokens.code_of(verifier, forged) == "signature_invalid"
        assert tokens.code_of(verifier, good) == "ok"
        assert (lib.ERR_peek_error(), _native.error_queue_len()) == (theirs, 0)
    lib.ERR_clear_error()


def test_pyca_and_ours_in_turns_on_many_threads() -> None:
    """Signing and verifying by pyca/cryptography between our verdicts, on several threads, changes none."""
    printed = run_python("""
        from concurrent.futures import ThreadPoolExecutor
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
        made = rapidjws.Verifier([public("ES256"), public("RS256")], algorithms=["ES256", "RS256"],
                                 acceleration="openssl")
        texts = [token("ES256"), token("RS256")]
        bad = [text.rpartition(".")[0] + "." + b64url(bytes(size)) for text, size in zip(texts, (64, 256))]
        theirs = ec.generate_private_key(ec.SECP256R1())
        rsa_key = rsa.generate_private_key(65537, 2048)
        def turn(number):
            message = b"%d" % number
            signature = theirs.sign(message, ec.ECDSA(hashes.SHA256()))
            found = [code_of(made, text) for text in texts + bad]
            theirs.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
            try:
                rsa_key.public_key().verify(bytes(256), message, padding.PKCS1v15(), hashes.SHA256())
                found.append("theirs accepted a forgery")
            except InvalidSignature:
                pass
            return found
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(turn, range(200)))
        assert answers == [["ok", "ok", "signature_invalid", "signature_invalid"]] * 200
        print(len(answers))
    """)
    assert printed.strip() == "200"


@pytest.mark.skipif(SYSTEM is None, reason="no shared libcrypto on this system")
@pytest.mark.parametrize("how", ["global", "preload"])
def test_beside_the_systems_libcrypto(how: str) -> None:
    """With the system's libcrypto loaded first and its symbols global, verdicts and backends are the same."""
    usual = outcome()
    if how == "global":
        found = outcome(f"import ctypes\nctypes.CDLL({SYSTEM!r}, mode=ctypes.RTLD_GLOBAL)")
    else:
        found = outcome(LD_PRELOAD=preloaded(str(SYSTEM)))
    assert found == usual


def foreign_libcrypto(folder: Path) -> Path:
    """Give the shared object that finds all signatures good: ready-made where it is named, else compiled."""
    named = os.environ.get("RAPIDJWS_FOREIGN_LIBCRYPTO")
    if named:
        return Path(named)
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, and RAPIDJWS_FOREIGN_LIBCRYPTO names no ready library")
    made = folder / "libforeign.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(FOREIGN)], check=True)
    return made


@ours_only
@pytest.mark.parametrize("how", ["global", "preload"])
def test_a_libcrypto_that_accepts_everything_is_not_heard(how: str, tmp_path: Path) -> None:
    """A preloaded libcrypto that finds every signature good changes neither our verdicts nor our name."""
    foreign = str(foreign_libcrypto(tmp_path))
    usual = outcome()
    assert usual[0].startswith("OpenSSL 3.5.")
    if how == "global":
        found = outcome(f"import ctypes\nctypes.CDLL({foreign!r}, mode=ctypes.RTLD_GLOBAL)")
    else:
        # for the child alone: the interpreter's own hashlib would hear it
        found = outcome(LD_PRELOAD=preloaded(foreign))
    assert found == usual
