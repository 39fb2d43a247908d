"""The peers: what each is, what runs it, what it is built from, in which variants it is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to drive a peer.

    Args:
        name: what the program takes as its third argument.
        label: how tables call it after the peer's name; empty for the plain one.
        cores: how many CPUs the process may use.
    """

    name: str = "single"
    label: str = ""
    cores: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer.

    Args:
        key: the name on the command line.
        title: the name in tables.
        runtime: which function of environments.py builds it: c, python, node, go, rust, java, rapidjws.
        program: the source below peers/ (the main class for Java).
        needs: packages with pinned versions (python), compiler flags (c), else unused.
        debian: packages that hold headers which `needs` refers to.
        python: the lowest Python minor version of 3.x that it installs on.
    """

    key: str
    title: str
    runtime: str
    program: str
    needs: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    python: int = 10
    variants: tuple[Variant, ...] = (Variant(),)


CACHED = Variant(name="cached", label="cached")

FLOOR = Peer(
    key="floor",
    title="EVP_DigestVerify",
    runtime="c",
    program="floor_main.c",
    needs=("floor.c", "-lcrypto"),
    debian=("libssl-dev",),
)
RAPIDJWS = Peer(
    key="rapidjws",
    title="rapidjws",
    runtime="rapidjws",
    program="run_rapidjws.py",
    variants=(
        Variant(),
        Variant(name="single-portable", label="plain C"),
        Variant(name="single-openssl", label="tables off"),
        Variant(name="batch", label="batch of 64"),
        Variant(name="batch-portable", label="batch of 64, plain C"),
        Variant(name="batch-openssl", label="batch of 64, tables off"),
        Variant(name="batch-2", label="batch, 2 threads", cores=2),
        CACHED,
    ),
)
PEERS = (
    FLOOR,
    RAPIDJWS,
    Peer(
        key="ryjwt",
        title="ryjwt",
        runtime="python",
        program="run_ryjwt.py",
        needs=("ryjwt[msgspec]==0.2.2",),
        python=12,
    ),
    Peer(key="oxyjwt", title="OxyJWT", runtime="python", program="run_oxyjwt.py", needs=("oxyjwt==0.9.0",)),
    Peer(
        key="pyjwt", title="PyJWT", runtime="python", program="run_pyjwt.py", needs=("pyjwt[crypto]==2.15.1",)
    ),
    Peer(
        key="joserfc", title="joserfc", runtime="python", program="run_joserfc.py", needs=("joserfc==1.8.0",)
    ),
    Peer(
        key="jwcrypto",
        title="jwcrypto",
        runtime="python",
        program="run_jwcrypto.py",
        needs=("jwcrypto==1.6.1",),
    ),
    Peer(
        key="python-jose",
        title="python-jose",
        runtime="python",
        program="run_python_jose.py",
        needs=("python-jose[cryptography]==3.5.0",),
    ),
    Peer(
        key="cjose",
        title="libcjose (C)",
        runtime="c",
        program="cjose_main.c",
        needs=("-lcjose", "-ljansson", "-lcrypto"),
        debian=("libcjose-dev", "libjansson-dev"),
    ),
    Peer(key="jsonwebtoken", title="jsonwebtoken (Rust)", runtime="rust", program="rapidjws-bench-peer"),
    Peer(key="golang-jwt", title="golang-jwt (Go)", runtime="go", program="peer"),
    Peer(key="nimbus", title="Nimbus (Java)", runtime="java", program="bench.Nimbus"),
    Peer(key="jose", title="jose (Node)", runtime="node", program="jose.mjs"),
    Peer(
        key="fast-jwt",
        title="fast-jwt (Node)",
        runtime="node",
        program="fast_jwt.mjs",
        variants=(Variant(), CACHED),
    ),
)
