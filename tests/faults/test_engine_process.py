"""What may happen to the process around an engine: rows P1 to P13, as far as the engine answers them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tokens
from process_memory import INSTRUMENTED, rss_bytes
from processes import run_python
from tokens import NOW_S, code_of

import rapidjws
from rapidjws import _native

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@needs_fork
def test_P1_fork_after_load() -> None:
    """A forked child verifies with the keys, threads and tables of the parent, and can change them."""
    run_python("""
        engine = rapidjws.Engine(issuer("ES256", "RS256", "EdDSA"), workers=2, precompute_threshold=4)
        texts = [token(alg) for alg in ("ES256", "RS256", "EdDSA")]
        engine.precompute()
        assert len(engine.verify_many(texts * 100, NOW_S)) == 300
        for _ in range(3):
            child = os.fork()
            if not child:
                code = 1
                try:
                    good = engine.verify_many(texts * 100, NOW_S)
                    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in good)
                    engine.replace_keys(ISS, public("ES256", "k2"))
                    engine.precompute()  # where the thread of the tables was not there before
                    assert engine.precomputed_kids == ("k2-es256",)
                    assert code_of(engine, token("ES256", "k2")) == "ok"
                    assert code_of(engine, texts[0]) == "unknown_kid"
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
        assert code_of(engine, texts[0]) == "ok"
    """)


@needs_fork
@pytest.mark.skipif(INSTRUMENTED, reason="the sanitizer's allocator may hold its lock at a fork")
def test_P2_fork_while_others_verify() -> None:
    """A child forked while threads verify, build tables and swap keys never waits for a lock of theirs."""
    run_python(
        """
        made = rapidjws.Engine(issuer("HS256"), workers=3)
        other = rapidjws.Engine(issuer("ES256"), workers=2, precompute_threshold=4)
        text, es = token("HS256"), token("ES256")
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                made.verify_many([text] * 200, NOW_S)
        def swapping():
            while not stop.is_set():
                other.replace_keys(ISS, [public("ES256"), public("ES256", "k2")])
                other.precompute()
                other.replace_keys(ISS, public("ES256"))
        threads = [threading.Thread(target=busy) for _ in range(2)] + [threading.Thread(target=swapping)]
        for thread in threads: thread.start()
        for _ in range(25):
            child = os.fork()
            if not child:
                signal.alarm(20)
                code = 1
                try:
                    assert code_of(made, text) == "ok"
                    assert len(made.verify_many([text] * 300, NOW_S)) == 300
                    other.replace_keys(ISS, public("ES256", "k2"))
                    other.precompute()
                    assert code_of(other, token("ES256", "k2")) == "ok"
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        """
    )


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_P1_multiprocessing(method: str, tmp_path: Path) -> None:
    """Workers of multiprocessing verify, forked or started afresh."""
    script = tmp_path / "workers.py"
    script.write_text(
        "import multiprocessing, sys, tokens, rapidjws\n"
        "jwk = tokens.public('HS256').as_dict(private=True)\n"
        "def verify(pair):\n"
        "    jwk, text = pair\n"
        "    made = rapidjws.Engine(tokens.issuer('HS256', keys=rapidjws.JWK.from_json(jwk)))\n"
        "    return [tokens.code_of(made, text), tokens.code_of(made, text + 'A')]\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        found = pool.map(verify, [(jwk, tokens.token('HS256'))] * 8, 2)\n"
        "    assert found == [found[0]] * 8 and found[0][0] == 'ok' != found[0][1], found\n"
    )
    subprocess.run(
        [sys.executable, str(script), method],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=120,
    )


def test_P3_sub_interpreter() -> None:
    """In a sub-interpreter the import fails with a plain ImportError; the main interpreter goes on."""
    run_python("""
        name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
        module = __import__(name)
        made = module.create()
        attempt = "\\n".join((
            "try:", " import rapidjws", "except ImportError as fault:",
            " assert 'sub-interpreter' in str(fault)", "else:", " raise SystemExit",
        ))
        found = module.exec(made, attempt) if hasattr(module, "exec") else module.run_string(made, attempt)
        assert found is None, found
        assert code_of(engine("HS256"), token("HS256")) == "ok"
    """)


def test_P6_exit_with_busy_threads() -> None:
    """The interpreter ends quietly while threads verify, singly and in batches, with tables on the way."""
    for _ in range(4):
        run_python("""
            made = rapidjws.Engine(issuer("ES256", "RS256"), workers=3, precompute_threshold=4)
            texts = [token("ES256"), token("RS256")] * 200
            def work():
                while True:
                    made.verify_many(texts, NOW_S)
            def single():
                while True:
                    made.verify(texts[0], NOW_S)
            for target in (work, work, single):
                threading.Thread(target=target, daemon=True).start()
            time.sleep(0.3)
        """)


def test_P7_interrupt_during_a_batch() -> None:
    """Ctrl-C ends a long batch within moments, and the engine goes on working afterwards."""
    printed = run_python("""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        made = rapidjws.Engine(issuer("ES384"), workers=2, acceleration="openssl")
        texts = [token("ES384")] * 60_000
        sent = []
        def interrupt():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.7, interrupt).start()
        try:
            made.verify_many(texts, NOW_S)
        except KeyboardInterrupt:
            print(time.monotonic() - sent[0])
        assert code_of(made, texts[0]) == "ok"
        assert len(made.verify_many(texts[:100], NOW_S)) == 100
    """)
    assert 0 <= float(printed) < 3


def test_P9_a_stale_error_queue_changes_nothing() -> None:
    """Errors that others left in libcrypto's queue turn no verdict, and ours leave none."""
    verifier = rapidjws.Verifier(tokens.public("ES256"), algorithms=["ES256"], acceleration="openssl")
    forged = tokens.token().rpartition(".")[0] + "." + tokens.b64url(b"\xff" * 64)
    for _ in range(50):
        assert code_of(verifier, forged) == "signature_invalid"
        assert code_of(verifier, tokens.token()) == "ok"
        assert _native.error_queue_len() == 0


def test_P12_beside_other_libcryptos() -> None:
    """With ssl, hashlib and pyca/cryptography loaded before or after, each keeps its own libcrypto."""
    code = """
        assert code_of(rapidjws.Engine(issuer("ES256", "RS256", "EdDSA")), token("RS256")) == "ok"
        import hashlib, ssl
        from cryptography.hazmat.primitives.asymmetric import ed25519
        key = ed25519.Ed25519PrivateKey.generate()
        key.public_key().verify(key.sign(b"a"), b"a")
        ssl.create_default_context()
        assert hashlib.sha256(b"").hexdigest().startswith("e3b0")
        assert code_of(rapidjws.Engine(issuer("ES256")), token("ES256")) == "ok"
    """
    run_python(code)
    run_python(
        "import ssl, hashlib\nfrom cryptography.hazmat.bindings._rust import openssl\n" + _dedented(code)
    )


def _dedented(code: str) -> str:
    import textwrap

    return textwrap.dedent(code)


@pytest.mark.parametrize(
    "text",
    [None, "\0\1 nonsense", "openssl_conf = x\n[x]\nproviders = p\n[p]\nfips = f\n[f]\nactivate = 1\n"],
    ids=["missing", "garbage", "fips-only"],
)
def test_P13_a_broken_openssl_conf(text: str | None, tmp_path: Path) -> None:
    """A configuration that is missing, garbage or without default provider does not reach our libcrypto."""
    conf = tmp_path / "openssl.cnf"
    if text is not None:
        conf.write_text(text)
    token = tokens.token("HS256")
    rsa, edwards = tokens.token("RS256"), tokens.token("Ed448")
    members = [tokens.public(alg).as_dict() for alg in ("RS256", "Ed448")]
    secret = tokens.public("HS256").as_dict(private=True)
    printed = run_python(
        f"""
import rapidjws
made = rapidjws.Verifier(rapidjws.JWK.from_json({secret!r}), algorithms=["HS256"])
print(made.verify({token!r}).alg)
made = rapidjws.Verifier([rapidjws.JWK.from_json(one) for one in {members!r}], algorithms=["RS256", "Ed448"])
print(made.verify({rsa!r}).alg, made.verify({edwards!r}).alg)
""",
        bare=True,
        OPENSSL_CONF=str(conf),
        OPENSSL_MODULES=str(tmp_path),
    )
    assert printed.split() == ["HS256", "RS256", "Ed448"]


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("nm") is None, reason="needs nm on Linux")
def test_exported_symbols() -> None:
    """The compiled module exports its init function and nothing else."""
    path = sys.modules["rapidjws._rapidjws"].__file__
    listing = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert names - {"_cffi_pypyinit__rapidjws"} == {"PyInit__rapidjws"}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.skipif(INSTRUMENTED, reason="an instrument keeps freed memory")
def test_P5_memory_is_flat_over_swaps() -> None:
    """Two thousand changes of keys, with headers learnt and tables built between, leave no memory behind."""
    made = rapidjws.Engine(tokens.issuer("ES256"))
    names = ("k1", "k2", "k3")
    texts = {name: tokens.token("ES256", name) for name in names}
    members = {name: tokens.public("ES256", name).as_dict() for name in names}

    def swap(number: int) -> None:
        name = names[number % 3]
        made.replace_keys(tokens.ISS, rapidjws.JWK.from_json(members[name]))
        if number % 40 == 0:
            made.precompute()
        made.verify(texts[name], NOW_S)

    for number in range(400):
        swap(number)
    before = rss_bytes()
    for number in range(2000):
        swap(number)
    assert rss_bytes() - before < 6_000_000
