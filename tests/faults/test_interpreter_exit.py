"""An interpreter that ends while everything runs: quietly, with 0, in bounded time."""

from __future__ import annotations

import pytest
from processes import run_python

BEGIN = """
    import asyncio, atexit, faulthandler, json
    from rapidjws.keys import RemoteJWKS
    from rapidjws.keys.fetch import Answer
    from rapidjws.rollout import Shadow
    faulthandler.dump_traceback_later(90, exit=True)
    now_s = int(time.time())
    es = [token("ES256", jti=str(at), iat=now_s, exp=now_s + 900) for at in range(40)]
    engine = rapidjws.Engine(issuer("ES256"), workers=3, precompute_threshold=1)
    forged = es[0][:-8] + "AAAAAAAA"
    running = []

    def start(work, daemon=True):
        begun = threading.Event()
        def run():
            while True:
                work()
                begun.set()
        threading.Thread(target=run, daemon=daemon).start()
        running.append(begun)

    def code_of_batch():
        found = engine.verify_many([es[0], forged] * 60)
        return [one.code if isinstance(one, rapidjws.Rejected) else "ok" for one in found]

    def at_the_end():
        assert code_of_batch() == ["ok", "signature_invalid"] * 60
        assert engine.verify(es[1]).claims["jti"] == "1"
        assert engine.decide(forged).outcome == "deny"
        async def gathered():
            return await asyncio.gather(*(engine.averify(text) for text in es))
        assert [one.claims["jti"] for one in asyncio.run(gathered())] == [str(at) for at in range(40)]
        verifier = rapidjws.Verifier(public("ES256"), algorithms=["ES256"])
        signed = sign(key("ES256"), {"alg": "ES256", "kid": key("ES256").kid}, b"x" * 300_000)
        head, _, tail = signed.split(".")
        async def streamed():
            async def pieces():
                yield b"x" * 300_000
            return await verifier.averify_detached(f"{head}..{tail}", pieces())
        assert asyncio.run(streamed())
        print("verified at the end", flush=True)
"""

BATCHES = """
    start(code_of_batch)
    start(code_of_batch)
"""
GATHERS = """
    def gathers():
        async def main():
            await asyncio.gather(*(engine.averify(text) for text in es))
        asyncio.run(main())
    start(gathers)
"""
TABLES = """
    def tables():
        made = rapidjws.Engine(issuer("ES256", "ES384"), precompute_threshold=1)
        made.verify(es[0])
    start(tables)
"""
REFRESHES = """
    def fetch(url, etag):
        body = json.dumps({"keys": [public("ES256").as_dict()]}).encode()
        time.sleep(0.001)
        return Answer(status=200, headers={}, body=body)
    source = RemoteJWKS("https://issuer.example/jwks.json", fetch=fetch)
    refreshed = rapidjws.Engine(rapidjws.Issuer(ISS, keys=source, algorithms=["ES256"], audience=AUD))
    start(lambda: source.refresh(5))
"""
SHADOWS = """
    shadows = [Shadow(lambda text: time.sleep(0.01) or True, per_second=10_000)]
    async def incumbent(text):
        await asyncio.sleep(0.01)
        return True
    shadows.append(Shadow(incumbent, per_second=10_000))
    def compare():
        for one in shadows:
            one.offer(es[0], "ok", lambda outcome: None)
        time.sleep(0.001)
    start(compare)
"""
END = """
    for begun in running:
        assert begun.wait(60)
"""
ALL = [BATCHES, GATHERS, TABLES, REFRESHES, SHADOWS]
NAMES = ["batches", "gathers", "tables", "refreshes", "shadows"]


@pytest.mark.parametrize("part", ALL, ids=NAMES)
def test_S15_an_interpreter_ends_beside_one(part: str) -> None:
    """The main thread ends while one kind of work runs, and a handler verifies at the end."""
    code = BEGIN + part + "\n    atexit.register(at_the_end)\n" + END
    assert run_python(code, timeout_s=150) == "verified at the end\n"


def test_S15_an_interpreter_ends_beside_all() -> None:
    """The main thread ends while all of them run at once, with handlers before and after ours."""
    code = (
        BEGIN + "\n    atexit.register(at_the_end)\n" + "".join(ALL) + "\n    atexit.register(at_the_end)\n"
    )
    assert run_python(code + END, timeout_s=150) == "verified at the end\n" * 2
