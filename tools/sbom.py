"""Write a CycloneDX bill of materials for what a folder holds: python tools/sbom.py FOLDER > FILE."""

from __future__ import annotations

import email
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from openssl_source import pin

SPEC_VERSION = "1.6"


def wheel_metadata(wheel: Path) -> email.message.Message:
    """Read the metadata out of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def openssl_component() -> dict[str, Any]:
    """Describe the libcrypto inside the wheels, as pinned in tools/build_openssl.sh."""
    found = pin()
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/openssl@{found['version']}",
        "name": "openssl",
        "version": found["version"],
        "purl": f"pkg:generic/openssl@{found['version']}?download_url={found['url']}",
        "cpe": f"cpe:2.3:a:openssl:openssl:{found['version']}:*:*:*:*:*:*:*",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": found["sha256"]}],
        "scope": "required",
    }


def dependency_components(metadata: email.message.Message) -> list[dict[str, Any]]:
    """Name what an installer adds: the dependencies without an extra."""
    lines = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted({line.split(";")[0].strip() for line in lines})
    bare = {name: name.split("<")[0].split(">")[0].split("=")[0].split("[")[0].strip() for name in names}
    return [
        {
            "type": "library",
            "name": bare[name],
            "purl": f"pkg:pypi/{bare[name]}",
            "description": f"needs {name}",
        }
        for name in names
    ]


def bill(folder: Path) -> dict[str, Any]:
    """Describe every wheel and sdist of the folder."""
    files = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    wheels = [path for path in files if path.suffix == ".whl"]
    if not wheels:
        raise SystemExit(f"no wheel in {folder}")
    metadata = wheel_metadata(wheels[0])
    reference = f"pkg:pypi/{metadata['Name']}@{metadata['Version']}"
    shipped = [
        {
            "type": "file",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in files
    ]
    openssl = openssl_component()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": reference,
                "name": metadata["Name"],
                "version": metadata["Version"],
                "purl": reference,
                "licenses": [{"license": {"id": metadata["License-Expression"]}}],
            }
        },
        "components": [openssl, *dependency_components(metadata), *shipped],
        "dependencies": [{"ref": reference, "dependsOn": [openssl["bom-ref"]]}],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1])), sys.stdout, indent=1)
    print()
