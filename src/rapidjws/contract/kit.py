"""The folder of one partner: what was agreed, our test keys, samples both ways. Plain files to be mailed.

contract.json         what was agreed, and what was attested by hand
ours/jwks.json        our test keys, public
ours/private/         our test keys, private (mode 0600; never sent)
ours/samples.json     tokens of ours, good and deliberately bad (``contract send``)
theirs/jwks.json      the partner's test keys, where there is no address
theirs/samples.json   the partner's tokens, with what they expect of us
theirs/verdicts.json  the partner's verdicts on our samples
report.{json,md,html,jws}   what ``contract check`` found
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rapidjws import _files
from rapidjws.contract.schema import check_contract, read_octets, read_value
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.testing.keys import make_key

VERSION: Final = 1
FILE_MAX_BYTES: Final = 1 << 20
ATTESTED: Final = ("alerts_configured",)
"""What no program can see: who says so, and when, stands in the contract."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAY_S: Final = 86_400
_DIGEST: Final = "samples.sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What two sides agreed.

    Attributes:
        partner: The partner's name.
        our_iss: Our iss in tokens to them.
        our_audience: What aud our tokens name: them.
        their_iss: Their iss.
        their_audience: What aud their tokens name: us.
        algorithms: The algorithms of both directions; the first is ours.
        leeway_s: Clock difference forgiven, seconds.
        lifetime_s: Life of a token, seconds.
        jwks_url: Where they publish their keys, or None for ``theirs/jwks.json``.
        publish_before_use_s: How long a new key is published before it signs: the rotation plan.
        temporary_leeway_s: Leeway until ``temporary_until``, or None.
        temporary_until: Seconds since the epoch.
        attested: Checks made by hand: name -> who and when.
    """

    partner: str
    our_iss: str
    our_audience: str
    their_iss: str
    their_audience: str
    algorithms: tuple[str, ...] = ("ES256",)
    leeway_s: int = 60
    lifetime_s: int = 300
    jwks_url: str | None = None
    publish_before_use_s: int = _DAY_S
    temporary_leeway_s: int | None = None
    temporary_until: int | None = None
    attested: dict[str, str] = field(default_factory=dict)

    def leeway_at(self, now_s: float) -> int:
        """Return the leeway that holds at a moment: a temporary one ends by itself."""
        until = self.temporary_until
        if self.temporary_leeway_s is not None and until is not None and now_s < until:
            return self.temporary_leeway_s
        return self.leeway_s


def load(folder: Path) -> Contract:
    """Read a contract.

    Raises:
        ConfigurationError: ``configuration_invalid``: no contract, or not one of this version.
    """
    value, faults = read_value(folder, "contract.json")
    if faults:
        raise error_for("configuration_invalid", "contract.json", "a JSON object", faults[0].text[:120])
    if not isinstance(value, dict) or value.pop("version", None) != VERSION:
        raise error_for("configuration_invalid", "contract.json", f"a contract of version {VERSION}")
    check_contract(value, ATTESTED)
    return Contract(**{**value, "algorithms": tuple(value["algorithms"])})


def save(folder: Path, contract: Contract) -> None:
    """Write a contract."""
    write_json(folder / "contract.json", {"version": VERSION, **asdict(contract)})


def init(folder: Path, contract: Contract, *, force: bool = False) -> None:
    """Make a partner's folder with fresh test keys of ours.

    Args:
        folder: Where.
        contract: What was agreed.
        force: Whether an existing contract is replaced, with its keys.

    Raises:
        ConfigurationError: ``configuration_invalid``: the folder has a contract, or the name is unfit.
    """
    if not _NAME.fullmatch(contract.partner):
        raise error_for("configuration_invalid", "partner", "letters, digits, '.', '_' and '-'")
    if (folder / "contract.json").exists() and not force:
        raise error_for("configuration_invalid", "folder", "a folder without a contract", str(folder)[-60:])
    (folder / "ours" / "private").mkdir(parents=True, exist_ok=True)
    (folder / "ours" / "private").chmod(0o700)
    (folder / "theirs").mkdir(exist_ok=True)
    published = []
    for alg in contract.algorithms:
        key = make_key(alg, kid=f"test-{alg.lower()}-{int(time.time())}")
        write_private(folder / "ours" / "private" / f"{alg}.json", key)
        if not key.is_symmetric:
            published.append({**key.public().as_dict(), "use": "sig"})
    write_private(folder / "ours" / "private" / "report.json", make_key("ES256", kid="contract-report"))
    write_json(folder / "ours" / "jwks.json", {"keys": published})
    _files.write_output(folder / "README.md", _README.format(c=contract).encode())
    save(folder, contract)


def private_key(folder: Path, name: str) -> JWK:
    """Return one of our test keys.

    Raises:
        ConfigurationError: ``configuration_invalid``: it is not there.
    """
    path = folder / "ours" / "private" / f"{name}.json"
    try:
        return JWK.from_json(_files.read_trusted(path, FILE_MAX_BYTES), private=True)
    except (OSError, RapidJWSError):
        raise error_for("configuration_invalid", f"ours/private/{name}.json", "our test key") from None


def set_leeway(folder: Path, leeway_s: int, until_s: int) -> Contract:
    """Give a partner a wider leeway until a moment, after which the agreed one holds again.

    Args:
        folder: The partner's folder.
        leeway_s: Seconds, 0 to 86 400.
        until_s: Seconds since the epoch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not 0 <= leeway_s <= _DAY_S:
        raise error_for("configuration_invalid", "leeway_s", f"0 to {_DAY_S}", leeway_s)
    made = replace(load(folder), temporary_leeway_s=leeway_s, temporary_until=until_s)
    save(folder, made)
    return made


def write_private(path: Path, key: JWK) -> None:
    """Write a private key for its owner's eyes only."""
    _files.replace(path, (json.dumps(key.as_dict(private=True), indent=2) + "\n").encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON to be read by people."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    _files.replace(path, text.encode(), mode=0o666, sync=False)  # never through a link of the partner


def write_samples(folder: Path, samples: list[dict[str, Any]]) -> None:
    """Write our samples, and their digest where the partner does not get it."""
    path = folder / "ours" / "samples.json"
    write_json(path, samples)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _files.replace(folder / "ours" / "private" / _DIGEST, f"{digest}\n".encode())


def samples_are_ours(folder: Path) -> bool:
    """Say whether our samples came back as they were sent; True where nothing was sent."""
    octets, fault = read_octets(folder / "ours" / "samples.json")
    kept, _ = read_octets(folder / "ours" / "private" / _DIGEST)
    if octets is None and fault is None and kept is None:
        return True
    if octets is None or kept is None:
        return kept is None and octets is not None  # sent by an earlier release
    return hmac.compare_digest(hashlib.sha256(octets).hexdigest().encode(), kept.strip())


_README: Final = """# Contract test: {c.partner}

1. Read `contract.json`: issuers, audiences, algorithms, leeway. Correct it together.
2. Verify each token of `ours/samples.json` with the keys of `ours/jwks.json`, at the time `check_at` if your
   library takes a time. Write `theirs/verdicts.json`: `{{"name": "accepted" or "refused", ...}}`;
   leave out what you could not run.
3. Put your test keys into `theirs/jwks.json` (or name your address as `jwks_url`), and tokens into
   `theirs/samples.json`: `[{{"name": "...", "token": "...", "expect": "accepted" or "refused"}}, ...]`, with
   `check_at` (seconds since 1970) where it matters. At least one good, one expired, one tampered.
4. Send the folder back without `ours/private`. `rapidjws contract check` walks the checklist, and
   `pytest --jws-partner FOLDER` does the same in CI.
"""
