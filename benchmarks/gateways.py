"""Requests per second behind real gateways: our sidecar against one of PyJWT and uvicorn, in the same set-up.

    python benchmarks/gateways.py [--seconds 6] [--rounds 3] [--only direct,nginx,envoy,grpc,asgi] [--quick]

Two cores: the sidecar (one worker) has the first, gateway, service and load (wrk, 64 connections) the second.
Both sidecars run at once and are loaded in turn; a ratio is taken between the best rounds. One token in 16 is
forged, and a round whose refusals are not as many is an error. Beside the rates stands what each process
spent on a request, so one sees who is the bottleneck: with the API behind it (envoy+API), it is Envoy's core.
Writes results/gateways.json and the documentation's lines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "examples")]

import envoys
import gateway_report
from gateway import COMMAND, GATEWAYS, free_port, gateway, program, running

from rapidjws.testing import FakeIssuer

ISS, AUDIENCE = "https://issuer.example", "https://api.example"
TOKENS, FORGED_EVERY = 256, 16
CONNECTIONS = 64
SIDECAR_CPU, REST_CPU = 0, 1
TARGETS = {"nginx": 3.0, "envoy": 3.0, "asgi": 2.5}
"""Least ratio to the same set-up with PyJWT and uvicorn."""

LEAST = {"envoy rapidjws gRPC / jwt_authn": 1.4, gateway_report.OF_GRPC: 4.0}
"""Least ratio of what is no comparison with PyJWT."""

MOST_US = {"envoy rapidjws gRPC": 35.0, "direct rapidjws": 27.0}
"""Most CPU of the sidecar for a request, in microseconds."""

LUA = """
local heads = {}
for line in io.lines("%s") do
  heads[#heads + 1] = { ["Authorization"] = "Bearer " .. line, ["X-Original-URI"] = "/a" }
end
local made, at = {}, 0
init = function() for i, head in ipairs(heads) do made[i] = wrk.format("GET", nil, head) end end
request = function() at = at + 1; return made[at %% #made + 1] end
done = function(summary, latency)
  io.write(string.format('{"requests":%%d,"us":%%d,"refused":%%d,"lost":%%d,"p50_us":%%d,"p99_us":%%d}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def placed(cpu: int) -> list[str]:
    """Return a command's beginning that keeps it on one CPU, in the real-time class where that is allowed.

    Who fills a CPU in that class stands still for 50 ms of each second: closed loops lose a twentieth alike.
    """
    first = ["chrt", "-r", "1"] if os.geteuid() == 0 and os.environ.get("BENCH_REALTIME") != "0" else []
    return [*first, "taskset", "-c", str(cpu)]


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its children spent."""
    pids = [pid, *children(pid)]
    ticks = 0
    for one in pids:
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return a process's children."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in path.read_text().split()] if path.exists() else []


class Setup:
    """One set-up under load: where requests go, and the processes whose time is counted."""

    def __init__(
        self, name: str, url: str, sidecar: int | None, front: int | None, *, forged: bool = True
    ) -> None:
        self.name, self.url = name, url
        self._share = 1 / FORGED_EVERY if forged else 0.0
        self.sidecar, self.front = sidecar, front
        self.rounds: list[dict[str, float]] = []

    def load(self, script: Path, seconds: float) -> None:
        """Load it for a while and keep what was measured."""
        before = [0.0 if pid is None else cpu_s(pid) for pid in (self.sidecar, self.front)]
        threads = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", str(script), self.url]
        done = subprocess.run(
            [*placed(REST_CPU), "wrk", *threads], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout[done.stdout.rindex("{") :])
        after = [0.0 if pid is None else cpu_s(pid) for pid in (self.sidecar, self.front)]
        wrong = abs(found["refused"] - found["requests"] * self._share)
        if found["lost"] or wrong > CONNECTIONS + TOKENS / FORGED_EVERY:
            raise AssertionError(f"{self.name}: {found}")
        spent = [1e6 * (late - early) / found["requests"] for early, late in zip(before, after, strict=True)]
        rate = 1e6 * found["requests"] / found["us"]
        self.rounds.append({**found, "rate": rate, "sidecar_us": spent[0], "front_us": spent[1]})

    def best(self) -> dict[str, Any]:
        """Return the round with the highest rate."""
        return {"name": self.name, **max(self.rounds, key=lambda one: one["rate"])}


class Bench:
    """What is measured, on ports of its own, until the end of a run."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self.folder = stack, folder
        self.issuer = issuer = FakeIssuer(ISS, "ES256", lifetime_s=36_000)
        self.jwks = json.dumps({"keys": [key.as_dict() for key in issuer.jwks.keys]})
        (folder / "jwks.json").write_text(self.jwks)
        now_s = int(time.time())
        tokens = [
            issuer.token(issuer.claims(now_s, sub=f"user-{n}", scope="read write", jti=f"{n:032x}"))
            for n in range(TOKENS)
        ]
        for n in range(0, TOKENS, FORGED_EVERY):
            tokens[n] = tokens[n].rpartition(".")[0] + "." + tokens[n + 1].rpartition(".")[2]
        (folder / "tokens.txt").write_text("\n".join(tokens))
        self.script = folder / "load.lua"
        self.script.write_text(LUA % (folder / "tokens.txt"))
        os.environ.update(BENCH_ISSUER=ISS, BENCH_JWKS=str(folder / "jwks.json"))

    def run(self, cpu: int, command: list[str], port: int, **environment: str) -> int:
        """Run a command on a CPU until its port answers; return its process id."""
        named = {"env": {**os.environ, **environment}, "cwd": self.folder}
        return self._stack.enter_context(running([*placed(cpu), *command], port, **named)).pid

    def ours(self, grpc: int = 0, grpc_server: str = "ngh2") -> tuple[int, int]:
        """Run our sidecar; return its port and process id."""
        port = free_port()
        rules = {"iss": ISS, "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": AUDIENCE}
        of_grpc = {"grpc_listen": f"127.0.0.1:{grpc}", "grpc_server": grpc_server} if grpc else {}
        server = {"listen": f"127.0.0.1:{port}", **of_grpc}
        state = {"phase": "enforcement", "state": f"state-{port}"}
        config = {"issuers": [rules], "rollout": state, "server": server}
        path = self.folder / f"rapidjws-{port}.json"
        path.write_text(json.dumps(config))
        return port, self.serve(path, port)

    def serve(self, config: Path, port: int) -> int:
        """Run our sidecar with a configuration; return its process id."""
        return self.run(SIDECAR_CPU, [*COMMAND, "serve", "--config", str(config)], port)

    def uvicorn(self, app: str, **environment: str) -> tuple[int, int]:
        """Run an ASGI application on one uvicorn worker; return its port and process id."""
        port = free_port()
        options = ["--app-dir", str(HERE), "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        command = [sys.executable, "-m", "uvicorn", app, *options, "--no-access-log", "--log-level", "error"]
        return port, self.run(SIDECAR_CPU, command, port, **environment)

    def service(self) -> int:
        """Run an API that costs next to nothing, and return its port."""
        port, folder = free_port(), self.folder / "service"
        folder.mkdir(exist_ok=True)
        paths = "".join(f"{kind}_temp_path {kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            "daemon off; master_process off; pid n.pid; error_log e.log; events {} http { access_log off;"
            f"client_body_temp_path b; {paths} keepalive_requests 1000000000;"
            f"server {{ listen 127.0.0.1:{port}; return 204; }} }}"
        )
        self.run(REST_CPU, [str(program("nginx")), "-p", str(folder), "-c", "nginx.conf"], port)
        return port

    def fronted(
        self, name: str, label: str, sidecar: int, pid: int | None, service: int, grpc: int = 0
    ) -> Setup:
        """Put a gateway in front of a sidecar."""
        folder = self.folder / label.replace(" ", "-")
        folder.mkdir()
        with_gateway = gateway(
            name,
            folder,
            service=service,
            sidecar=f"127.0.0.1:{sidecar}",
            grpc=grpc,
            prefix=tuple(placed(REST_CPU)),
        )
        port = self._stack.enter_context(with_gateway)
        (front,) = [int(one) for one in (folder / "gateway.pid").read_text().split()]
        return Setup(label, f"http://127.0.0.1:{port}/a", pid, front)


def compare(setups: list[Setup], script: Path, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Load the set-ups in turn."""
    for setup in setups:  # precomputed tables, caches of headers
        setup.load(script, 1.0)
        setup.rounds.clear()
    for number in range(rounds):
        for setup in setups[:: 1 if number % 2 == 0 else -1]:
            setup.load(script, seconds)
    for setup in setups:
        best = setup.best()
        print(
            f"{setup.name:24} {best['rate']:8.0f} req/s  p50 {best['p50_us'] / 1000:6.2f} ms  "
            f"p99 {best['p99_us'] / 1000:6.2f} ms  sidecar {best['sidecar_us']:5.1f} us  "
            f"gateway {best['front_us']:5.1f} us a request",
            flush=True,
        )
    return [setup.best() for setup in setups]


def direct(bench: Bench) -> list[Setup]:
    """Return the sidecars without a gateway."""
    mine, my_pid = bench.ours()
    theirs, their_pid = bench.uvicorn("pyjwt_sidecar:app")
    return [
        Setup("direct rapidjws", f"http://127.0.0.1:{mine}/verify", my_pid, None),
        Setup("direct PyJWT", f"http://127.0.0.1:{theirs}/verify", their_pid, None),
    ]


def nginx(bench: Bench) -> list[Setup]:
    """Return both sidecars behind nginx."""
    service = bench.service()
    mine, my_pid = bench.ours()
    theirs, their_pid = bench.uvicorn("pyjwt_sidecar:app")
    return [
        bench.fronted("nginx", "nginx rapidjws", mine, my_pid, service),
        bench.fronted("nginx", "nginx PyJWT", theirs, their_pid, service),
    ]


def envoy(bench: Bench) -> list[Setup]:
    """Return both sidecars behind Envoy, which answers by itself or hands on."""
    service, folder = bench.service(), bench.folder
    mine, my_pid = bench.ours()
    theirs, their_pid = bench.uvicorn("pyjwt_sidecar:app")
    GATEWAYS["http"] = envoys.answering("envoy-http", folder)
    return [
        bench.fronted("http", "envoy rapidjws", mine, my_pid, service),
        bench.fronted("http", "envoy PyJWT", theirs, their_pid, service),
        bench.fronted("envoy", "envoy+API rapidjws", mine, my_pid, service),
        bench.fronted("envoy", "envoy+API PyJWT", theirs, their_pid, service),
    ]


def grpc(bench: Bench) -> list[Setup]:
    """Return Envoy that answers by itself and verifies in each way: by our sidecar over gRPC, with either
    server, and over HTTP, and by its own jwt_authn."""
    service, folder, ports = bench.service(), bench.folder, (free_port(), free_port())
    (mine, my_pid), (theirs, their_pid) = bench.ours(ports[0]), bench.ours(ports[1], "grpcio")
    GATEWAYS["http"] = envoys.answering("envoy-http", folder)
    GATEWAYS["grpc"] = envoys.answering("envoy-grpc", folder)
    GATEWAYS["jwt"] = envoys.jwt_authn(bench.jwks, ISS, AUDIENCE, folder)
    return [
        bench.fronted("grpc", "envoy rapidjws gRPC", mine, my_pid, service, ports[0]),
        bench.fronted("grpc", "envoy rapidjws grpcio", theirs, their_pid, service, ports[1]),
        bench.fronted("http", "envoy rapidjws HTTP", mine, my_pid, service),
        bench.fronted("jwt", "envoy jwt_authn", mine, None, service),
    ]


def asgi(bench: Bench) -> list[Setup]:
    """Return one application under uvicorn behind our middleware, behind PyJWT, and bare."""
    return [
        Setup(f"asgi {name}", f"http://127.0.0.1:{port}/a", pid, None, forged=name != "bare")
        for name in ("rapidjws", "PyJWT", "bare")
        for port, pid in [bench.uvicorn("asgi_app:app", BENCH_MIDDLEWARE=name)]
    ]


PARTS = {"direct": direct, "nginx": nginx, "envoy": envoy, "grpc": grpc, "asgi": asgi}


def main() -> int:
    parser = argparse.ArgumentParser(description="measure behind real gateways")
    parser.add_argument("--seconds", type=int, default=6, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="short rounds; results and documentation stay")
    args = parser.parse_args()
    seconds, rounds = (2, 2) if args.quick else (args.seconds, args.rounds)
    found: dict[str, list[dict[str, Any]]] = {}
    for part in args.only.split(","):
        with ExitStack() as stack, tempfile.TemporaryDirectory() as made:
            bench = Bench(stack, Path(made))
            setups = PARTS[part](bench)
            found[part] = compare(setups, bench.script, rounds, seconds)
    ratios = gateway_report.ratios(found)
    for name, ratio in ratios.items():
        print(f"{name:32} {ratio:5.2f}")
    if not args.quick:
        gateway_report.write(found, ratios)
    missed = {
        name: least
        for name, least in TARGETS.items()
        if ratios.get(f"{name} rapidjws / PyJWT", least) < least
    }
    for name, least in missed.items():
        print(f"missed: {name} at least {least} x PyJWT and uvicorn", file=sys.stderr)
    for one in (one for part in found.values() for one in part):
        most = MOST_US.get(one["name"], one["sidecar_us"])
        if one["sidecar_us"] > most:
            missed[one["name"]] = most
            print(f"missed: {one['name']} at most {most} us of CPU in the sidecar", file=sys.stderr)
    for name, least in LEAST.items():
        if ratios.get(name, least) < least:
            missed[name] = least
            print(f"missed: {name} at least {least}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
