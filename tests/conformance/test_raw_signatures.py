"""Third-party primitive vectors through every path of the core: libcrypto, our RSA, the precomputed tables.

One test a file; a failure names the vectors' own ids. A refusal has to be ``signature_invalid``: a path that
only gives up is a fault here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import raw_vectors
from raw_vectors import Case, Group

import rapidjws
from rapidjws import _native
from rapidjws.verify.key_table import PreparedKey, prepare

Verify = Callable[[PreparedKey, Case], str]
STATUS = _native.STATUS_NAMES


def by_libcrypto(key: PreparedKey, case: Case) -> str:
    """Ask the core without any acceleration."""
    assert key.native is not None
    return STATUS[key.native.verify(key.number, case.message, case.signature, accelerated=False)]


def by_primitive(key: PreparedKey, case: Case) -> str:
    """Ask the public primitive."""
    try:
        rapidjws.verify_raw(key.alg, key.jwk, case.message, case.signature)
    except rapidjws.SignatureInvalid as refused:
        return refused.code
    return "ok"


def by_hot_table(portable: bool) -> Verify:
    """Ask the key's precomputed table; what it leaves open libcrypto answers, as in life."""
    last: list[tuple[PreparedKey, _native.NativePrecomputed]] = []

    def verify(key: PreparedKey, case: Case) -> str:
        assert key.native is not None
        if not last or last[0][0] is not key:
            table = _native.build_precomputed(key.number, key.jwk.material[0], portable=portable)
            if table is None:
                pytest.skip(f"no tables for {key.alg} here")
            last[:] = [(key, table)]
        return STATUS[key.native.verify(key.number, case.message, case.signature, table=last[0][1])]

    return verify


def run(alg: str, groups: list[Group], verify: Verify) -> tuple[int, int]:
    """Check every verdict; return how many cases verified, and how many there were."""
    accepted = cases = 0
    wrong = []
    for group in groups:
        cases += len(group.cases)
        try:
            key = prepare(rapidjws.JWK.from_json(group.jwk), alg)
        except (rapidjws.KeyRefused, rapidjws.HeaderRefused):  # weak, malformed, too short
            wrong += [case.name for case in group.cases if case.valid]
            continue
        for case in group.cases:
            found = verify(key, case)
            accepted += found == "ok"
            if found != ("ok" if case.valid else "signature_invalid"):
                wrong.append(f"{case.name}: {found}")
    assert wrong == []
    return accepted, cases


ECDSA = {
    "ES256": ("secp256r1_sha256", "P-256", 32, (262, 484)),
    "ES384": ("secp384r1_sha384", "P-384", 48, (280, 504)),
    "ES512": ("secp521r1_sha512", "P-521", 66, (318, 542)),
    "ES256K": ("secp256k1_sha256", "secp256k1", 32, (252, 476)),
}
VALID_RAW = {"ES256": 173, "ES384": 193, "ES512": 231, "ES256K": 167}
VALID_DER = {"ES256": 174, "ES384": 194, "ES512": 232, "ES256K": 168}
PATHS: dict[str, Callable[[], Verify]] = {
    "libcrypto": lambda: by_libcrypto,
    "primitive": lambda: by_primitive,
    "hot": lambda: by_hot_table(portable=False),
    "hot-portable": lambda: by_hot_table(portable=True),
}
every_path = pytest.mark.parametrize("path", list(PATHS))


@every_path
@pytest.mark.parametrize("alg", list(ECDSA))
def test_ecdsa_raw(alg: str, path: str) -> None:
    """Every R || S signature gets the verdict of its label."""
    name, crv, size, (cases, _) = ECDSA[alg]
    groups = raw_vectors.ecdsa(f"ecdsa_{name}_p1363_test.json", crv, coordinate_bytes=size)
    assert run(alg, groups, PATHS[path]()) == (VALID_RAW[alg], cases)


@every_path
@pytest.mark.parametrize("alg", list(ECDSA))
def test_ecdsa_der(alg: str, path: str) -> None:
    """A DER signature is no JWS signature; the valid ones are, once packed as R || S."""
    name, crv, size, (_, cases) = ECDSA[alg]
    groups = raw_vectors.ecdsa(f"ecdsa_{name}_test.json", crv, coordinate_bytes=size)
    assert run(alg, raw_vectors.all_invalid(groups), PATHS[path]()) == (0, cases)
    fitting = raw_vectors.repacked(groups, coordinate_bytes=size)
    assert run(alg, fitting, PATHS[path]()) == (VALID_DER[alg], VALID_DER[alg])


@every_path
@pytest.mark.parametrize(
    ("alg", "name", "cases"),
    [("ES256", "secp256r1_sha512", 332), ("ES384", "secp384r1_sha512", 318)],
    ids=["ES256", "ES384"],
)
def test_ecdsa_of_another_digest(alg: str, name: str, cases: int, path: str) -> None:
    """A curve is used with its own digest only: signatures over another one are refused."""
    _, crv, size, _ = ECDSA[alg]
    groups = raw_vectors.ecdsa(f"ecdsa_{name}_p1363_test.json", crv, coordinate_bytes=size)
    assert run(alg, raw_vectors.all_invalid(groups), PATHS[path]()) == (0, cases)


@every_path
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_ed25519(alg: str, path: str) -> None:
    """Every Ed25519 signature gets the verdict of its label, under both names."""
    groups = raw_vectors.okp("ed25519_test.json", "Ed25519")
    assert run(alg, groups, PATHS[path]()) == (88, 151)


@pytest.mark.parametrize("path", ["libcrypto", "primitive"])
@pytest.mark.parametrize("alg", ["EdDSA", "Ed448"])
def test_ed448(alg: str, path: str) -> None:
    """Every Ed448 signature gets the verdict of its label, under both names."""
    assert run(alg, raw_vectors.okp("ed448_test.json", "Ed448"), PATHS[path]()) == (17, 87)


RSA_CASES = {2048: (24, 776), 3072: (23, 778), 4096: (21, 776), 8192: (21, 776)}


@pytest.mark.parametrize("path", ["libcrypto", "primitive"])
@pytest.mark.parametrize("bits", [2048, 3072, 4096, 8192])
def test_rsa_pkcs1(bits: int, path: str) -> None:
    """Every RSASSA-PKCS1-v1_5 signature gets its label; a DigestInfo without NULL is refused."""
    accepted = cases = 0
    for sha in (256, 384, 512):
        groups = raw_vectors.rsa_pkcs1(f"rsa_signature_{bits}_sha{sha}_test.json")
        counts = run(f"RS{sha}", groups, PATHS[path]())
        accepted, cases = accepted + counts[0], cases + counts[1]
    assert (accepted, cases) == RSA_CASES[bits]


PSS_JOSE = {
    "2048_sha256_mgf1_32": 256,
    "3072_sha256_mgf1_32": 256,
    "4096_sha256_mgf1_32": 256,
    "2048_sha384_mgf1_48": 384,
    "4096_sha384_mgf1_48": 384,
    "4096_sha512_mgf1_64": 512,
}
PSS_OTHER = {
    "2048_sha256_mgf1_0": (256,),
    "2048_sha256_mgf1sha1_20": (256,),
    "4096_sha512_mgf1_32": (512,),
    "misc": (256, 384, 512),
}


@pytest.mark.parametrize("path", ["libcrypto", "primitive"])
def test_rsa_pss(path: str) -> None:
    """Every RSASSA-PSS signature under JOSE's parameters gets the verdict of its label."""
    accepted = cases = 0
    for name, sha in PSS_JOSE.items():
        groups = raw_vectors.rsa_pss(f"rsa_pss_{name}_test.json", f"SHA-{sha}")
        counts = run(f"PS{sha}", groups, PATHS[path]())
        accepted, cases = accepted + counts[0], cases + counts[1]
    assert (accepted, cases) == (511, 785)


@pytest.mark.parametrize("path", ["libcrypto", "primitive"])
@pytest.mark.parametrize("name", list(PSS_OTHER))
def test_rsa_pss_of_other_parameters(name: str, path: str) -> None:
    """Other digests, MGFs and salts are refused under every PS algorithm; the few that fit are not."""
    accepted = 0
    for sha in PSS_OTHER[name]:
        groups = raw_vectors.rsa_pss(f"rsa_pss_{name}_test.json", f"SHA-{sha}")
        if name == "2048_sha256_mgf1_0":  # known exception 69: its salt was changed to PS256's own size
            groups = [
                Group(jwk, [case._replace(valid=case.name == "69") for case in cases])
                for jwk, cases in groups
            ]
        accepted += run(f"PS{sha}", groups, PATHS[path]())[0]
    assert accepted == {"2048_sha256_mgf1_0": 1, "misc": 3}.get(name, 0)


@pytest.mark.parametrize("sha", [256, 384, 512])
@pytest.mark.parametrize("path", ["libcrypto", "primitive"])
def test_hmac(sha: int, path: str) -> None:
    """A full tag under a key of the digest's size gets its label; short tags and short keys are refused."""
    groups = raw_vectors.hmac(f"hmac_sha{sha}_test.json")
    assert run(f"HS{sha}", groups, PATHS[path]()) == (30, 174)


MLDSA_CASES = {"44": 180, "65": 210, "87": 241}
MLDSA_VALID = {"44": 75, "65": 77, "87": 69}


@pytest.mark.parametrize("level", list(MLDSA_CASES))
def test_mldsa(level: str) -> None:
    """Every ML-DSA signature without context gets its label, by libcrypto or by pyca/cryptography."""
    alg = f"ML-DSA-{level}"
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    groups = raw_vectors.mldsa(f"mldsa_{level}_verify_test.json", alg)
    assert run(alg, groups, by_primitive) == (MLDSA_VALID[level], MLDSA_CASES[level])


@pytest.mark.parametrize("level", list(MLDSA_CASES))
def test_mldsa_natively(level: str) -> None:
    """The core itself gives every ML-DSA signature its label, wherever its libcrypto is ours."""
    alg = f"ML-DSA-{level}"
    backends = rapidjws.backends()
    if not backends.libcrypto_is_ours and backends.algorithms[alg] != "libcrypto":
        pytest.skip(f"the system's {backends.libcrypto} has no {alg}")
    assert backends.algorithms[alg] == "libcrypto"
    groups = raw_vectors.mldsa(f"mldsa_{level}_verify_test.json", alg)
    assert run(alg, groups, by_libcrypto) == (MLDSA_VALID[level], MLDSA_CASES[level])
