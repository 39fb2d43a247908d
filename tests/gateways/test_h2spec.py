"""h2spec, a conformance suite of HTTP/2 of others, against the gRPC listener on libnghttp2."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from gates import free_port, serving

grpc = pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
pytest.importorskip("ngh2", reason="the extra `envoy` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways

BUILT = Path(__file__).resolve().parents[2] / "build" / "h2spec"
PROGRAM = shutil.which("h2spec", path=str(BUILT)) or shutil.which("h2spec")
CHECK = "/envoy.service.auth.v3.Authorization/Check"

OTHERWISE = {
    # libnghttp2 reads nothing more of a stream that is closed, where an error is due
    "closed: Sends a DATA frame after sending RST_STREAM frame",
    "closed: Sends a HEADERS frame after sending RST_STREAM frame",
    "closed: Sends a DATA frame",
    "closed: Sends a HEADERS frame",
    "Sends stream identifier that is numerically smaller than previous",
    # priorities of RFC 7540, which RFC 9113 took away, are off: SETTINGS say so
    "Sends PRIORITY frame that depend on itself",
    "Sends PRIORITY frame with 0x0 stream identifier",
    "Sends a PRIORITY frame with 0x0 stream identifier",
    # a request that is no gRPC has its answer, without a body, and is closed before the frame at fault comes
    "Sends a WINDOW_UPDATE frame on half-closed (remote) stream",
    "Sends a PRIORITY frame on half-closed (remote) stream",
    "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
    "Sends a DATA frame with invalid pad length",
    "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
    'Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload'
    " length",
    'Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the'
    " multiple DATA frames payload length",
}
"""Where libnghttp2, or the refusal of what is no gRPC, answers otherwise than h2spec wants."""

LEAST = 120
RUNS = 3


def failed_of(command: list[str]) -> tuple[set[str], int]:
    """Return what fails in one run, and how many pass."""
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False).stdout
    (passed,) = re.findall(r"(\d+) passed", found)
    return set(re.findall("^ *\N{MULTIPLICATION SIGN} \\d+: (.*)$", found, re.MULTILINE)), int(passed)


@pytest.mark.skipif(PROGRAM is None, reason="h2spec absent: `make h2spec` builds it where there is go")
def test_h2spec_finds_nothing_new(tmp_path: Path) -> None:
    """All but the listed cases of h2spec pass, and checks are answered as before."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with serving(tmp_path, workers=1, grpc_listen=address, grpc_server="ngh2"):
        command = [str(PROGRAM), "-h", "127.0.0.1", "-p", str(port), "-o", "2", "-P", CHECK]
        failures, passed = failed_of(command)
        for _ in range(RUNS - 1):  # what fails each time: its own limits of time are short for a busy machine
            if failures <= OTHERWISE:
                break
            failures &= failed_of(command)[0]
        with grpc.insecure_channel(address) as channel:
            health = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60)
    assert health == b"\x08\x01"
    assert failures <= OTHERWISE, failures - OTHERWISE
    assert passed >= LEAST
