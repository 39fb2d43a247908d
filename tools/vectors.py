"""Third-party verdicts for the tests: those that lie beside the checkout, or fetched from their upstreams.

Each source is an archive at a pinned commit, and a SHA-256 over the names and contents of what is taken.
``make vectors`` fetches what is absent into build/vectors, which git ignores; tests/conftest.py looks there.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FETCHED = ROOT / "build" / "vectors"
ARCHIVE_MAX_BYTES = 256 << 20
TIMEOUT_S = 120
NOT_FETCHED = ("known_exceptions.json", "rfc7515", "cve_cases")
"""What no upstream has in this form: registers and transcriptions; their tests are left out without them."""

RSA = [f"rsa_signature_{bits}_sha{sha}" for bits in (2048, 3072, 4096, 8192) for sha in (256, 384, 512)]
PSS = [
    f"rsa_pss_{rest}"
    for rest in (
        "2048_sha256_mgf1_0 2048_sha256_mgf1_32 2048_sha256_mgf1sha1_20 2048_sha384_mgf1_48"
        " 3072_sha256_mgf1_32 4096_sha256_mgf1_32 4096_sha384_mgf1_48 4096_sha512_mgf1_32 4096_sha512_mgf1_64"
        " misc"
    ).split()
]
ECDSA = [
    f"ecdsa_sec{rest}"
    for rest in (
        "p256k1_sha256_p1363 p256k1_sha256 p256r1_sha256_p1363 p256r1_sha256 p256r1_sha512_p1363"
        " p384r1_sha384_p1363 p384r1_sha384 p384r1_sha512_p1363 p521r1_sha512_p1363 p521r1_sha512"
    ).split()
]
OTHERS = (
    "ed25519 ed448 hmac_sha256 hmac_sha384 hmac_sha512 json_web_crypto json_web_key json_web_signature"
    " mldsa_44_verify mldsa_65_verify mldsa_87_verify"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An upstream repository at one commit.

    Attributes:
        folder: Where its files lie below the vectors.
        repository: The owner and name on GitHub.
        commit: The commit, 40 hex digits.
        under: The folder of the archive that is taken.
        names: Patterns of the names that are taken, relative to ``under``.
        sha256: Over a line ``SHA-256  NAME`` for each file taken, sorted by name.
    """

    folder: str
    repository: str
    commit: str
    under: str
    names: tuple[str, ...] = field(repr=False)
    sha256: str

    @property
    def url(self) -> str:
        """Return the address of the archive."""
        return f"https://codeload.github.com/{self.repository}/tar.gz/{self.commit}"

    def takes(self, name: str) -> bool:
        """Return whether a file, relative to ``under``, belongs to the vectors."""
        return any(fnmatch(name, pattern) for pattern in self.names)


SOURCES = (
    Source(
        folder="wycheproof",
        repository="C2SP/wycheproof",
        commit="dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166",
        under="testvectors_v1/",
        names=tuple(f"{name}_test.json" for name in (*RSA, *PSS, *ECDSA, *OTHERS)),
        sha256="b487c8d4b6dc0afe4d1fc10f0a59eddd95b37901de9fc9406cf65c74c093fefc",
    ),
    Source(
        folder="nst-JSONTestSuite",
        repository="nst/JSONTestSuite",
        commit="1ef36fa01286573e846ac449e8683f8833c5b26a",
        under="",
        names=("test_parsing/*", "test_transform/*"),
        sha256="baf040b307bbf57479003dd1fd6cf1bca6c5dc7ada8e50ef1bc21dce1d15bf9a",
    ),
    Source(
        folder="ietf-jose-cookbook",
        repository="ietf-jose/cookbook",
        commit="13692b68bfc18b99557a5b1ed311fd5077bfff04",
        under="",
        names=("jws/*.json", "jwk/*.json", "curve25519/*.json", "rfc7797/*.json"),
        sha256="9163cec3de0d854ca97ab213afe51ee2ca4f448921a36c8eb9f85aa72c437d69",
    ),
    Source(
        folder="rfc9964-mldsa-jose",
        repository="cose-wg/draft-ietf-cose-dilithium",
        commit="7f2084bec51d2ddeb40f4b6918257bf278dcd268",
        under="examples/jose/examples/",
        names=("ML_DSA_*.jose.json",),
        sha256="1a8c2dd3b8ed6d3712d53209b7aab4227d057e01f24f0e0d38efbc5634b5ed0e",
    ),
)


def beside() -> Path | None:
    """Return the vectors that are there without fetching, or None."""
    named = os.environ.get("RAPIDJWS_VECTORS")
    folder = Path(named) if named else ROOT.parent / "shared" / "vectors"
    return folder if folder.is_dir() else None


def digest_of(files: dict[str, bytes]) -> str:
    """Return the SHA-256 that a source pins, for files by name."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def taken_from(source: Source, archive: bytes) -> dict[str, bytes]:
    """Return what a source takes from its archive.

    Raises:
        ValueError: The files are not those that are pinned.
    """
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            stream = tar.extractfile(member) if member.isfile() and name.startswith(source.under) else None
            if stream is not None and source.takes(name.removeprefix(source.under)):
                found[name.removeprefix(source.under)] = stream.read()
    if digest_of(found) != source.sha256:
        raise ValueError(f"{source.repository}: {len(found)} files, and not those that are pinned")
    return found


def is_whole(source: Source, folder: Path) -> bool:
    """Return whether a source's files lie below a folder as they are pinned."""
    own = folder / source.folder
    names = {path.relative_to(own).as_posix(): path for path in own.rglob("*") if path.is_file()}
    return (
        digest_of({name: path.read_bytes() for name, path in names.items() if source.takes(name)})
        == source.sha256
    )


def fetch(source: Source, folder: Path) -> None:
    """Fetch one source into a folder.

    Raises:
        ValueError: The archive is too large, or its files are not those that are pinned.
        OSError: It cannot be fetched.
    """
    with urllib.request.urlopen(source.url, timeout=TIMEOUT_S) as answer:
        archive = answer.read(ARCHIVE_MAX_BYTES + 1)
    if len(archive) > ARCHIVE_MAX_BYTES:
        raise ValueError(f"{source.repository}: above {ARCHIVE_MAX_BYTES} bytes")
    for name, octets in taken_from(source, archive).items():
        path = folder / source.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)


def main() -> int:
    """Fetch what is absent, a line a source; return how many sources are not there."""
    there = beside()
    if there is not None:
        print(f"vectors: {there}")
        return 0
    missing = 0
    for source in SOURCES:
        try:
            if not is_whole(source, FETCHED):
                fetch(source, FETCHED)
        except (OSError, ValueError) as fault:
            missing += 1
            print(f"vectors: {source.folder} is not there: {fault}", file=sys.stderr)
        else:
            print(f"vectors: {source.folder} in {FETCHED}")
    print(f"vectors: not to be fetched, their tests are left out: {', '.join(NOT_FETCHED)}")
    return missing


if __name__ == "__main__":
    raise SystemExit(main())
