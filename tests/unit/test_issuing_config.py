"""The file for `rapidjws issue`, and its commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rapidjws.cli.app import app
from rapidjws.config.issuing_file import load_issuing
from rapidjws.config.issuing_schema import TABLES
from rapidjws.errors import RapidJWSError
from rapidjws.testing import FakeClock, make_key

ROOT = Path(__file__).resolve().parents[2]
GOOD = """\
[issuing]
issuer = "https://issuer.example"
state_file = "keys.json"
key_folder = "keys"
schedule = "every 30 days at 03:00 UTC"
"""

BASIC = "[token]\ninsecure_allow_basic = true\n"
CLIENT = """\
[[clients]]
client_id = "a"
audiences = ["https://orders.example"]
authentication = "client_secret_basic"
secret_file = "client.secret"
"""


def written(folder: Path, text: str) -> Path:
    """Write a file with a folder for keys beside it."""
    (folder / "keys").mkdir(exist_ok=True)
    path = folder / "issuing.toml"
    path.write_text(text)
    secret = folder / "client.secret"
    secret.touch(mode=0o600)
    secret.write_text("s" * 40)
    return path


def run(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, ["issue", *words])


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (GOOD + "shedule = 1\n", ":6: issuing.shedule", "schedule"),
        (GOOD + "jitter_s = true\n", ":6: issuing.jitter_s", "a number"),
        (
            GOOD + "jwks_max_age_s = 10\npublish_before_s = 20\n",
            ":7: issuing.publish_before_s",
            "10 + publish",
        ),
        (GOOD.replace("30 days", "thirty days"), ":5: issuing.schedule", "every 30 days"),
        (GOOD + 'freeze = ["soon"]\n', ":6: issuing.freeze", "2026-12-20"),
        (GOOD + 'redis = "redis://127.0.0.1:1"\n', ":1: issuing", "one of state_file and redis"),
        (
            GOOD.replace('state_file = "keys.json"', 'redis = "redis://127.0.0.1:1"') + "clock_skew_s = 0\n",
            ":6: issuing.clock_skew_s",
            "at least 0.1 with redis",
        ),
        (GOOD.replace("https:", "http:"), ":2: issuing.issuer", "https"),
        (GOOD.replace("https://issuer.example", "https://["), ":2: issuing.issuer", "https"),
        (GOOD.replace("issuer.example", "issuer.example:x"), ":2: issuing.issuer", "https"),
        (GOOD.replace("issuer.example", "a b"), ":2: issuing.issuer", "https"),
        (GOOD.replace("issuer.example", "{tid}.example"), ":2: issuing.issuer", "https"),
        (GOOD.replace("keys.json", "keys\\u0000.json"), ":3: issuing.state_file", "a zero octet"),
        (GOOD + "rsa_bits = 1024\n", ":6: issuing.rsa_bits", "2048"),
        (GOOD + 'algorithms = ["HS256"]\n', ":6: issuing.algorithms", "public keys"),
        (GOOD + 'algorithm_of = { "a" = "ES384" }\n', ":6: issuing.algorithm_of", "ES256"),
        (GOOD + "algorithm_of = 3\n", ":6: issuing.algorithm_of", "a table"),
        (GOOD.replace('"keys"', '"nowhere"'), ":4: issuing.key_folder", "a folder"),
        (GOOD + "[isuing]\n", ":6: isuing", "unknown section"),
        ("", "issuing", "a table"),
        (GOOD + '[[clients]]\nclient_id = "a"\naudiences = ["b"]\n', "clients", "without a table token"),
        (GOOD + '[token]\n[[clients]]\nclient_id = "a"\n', "clients", "a value"),
        (
            GOOD + '[token]\n[[clients]]\nclient_id = "a"\naudiences = ["b"]\n',
            ":7: clients[0]",
            "keys_file: a value",
        ),
        (GOOD + BASIC + "lifetime_s = 301\n" + CLIENT, ":8: token.lifetime_s", "token_lifetime_s = 300"),
        (
            GOOD + BASIC + CLIENT + 'grants = ["x"]\n',
            ":13: clients[0].grants",
            "client_credentials",
        ),
        (GOOD + "[token]\n" + CLIENT, ":6: token.insecure_allow_basic", "for shared secrets"),
        (GOOD + BASIC + 'mtls_header = "a"\n' + CLIENT, "token.mtls_gateways", "networks"),
        (GOOD + BASIC + 'mtls_form = "pem"\n' + CLIENT, ":8: token.mtls_form", "without mtls_header"),
        (GOOD.replace("schedule", "jitter_s = 5 #"), ":5: issuing.jitter_s", "without a schedule"),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, text: str, where: str, words: str) -> None:
    """A misspelt, contradictory or impossible setting is an error with file, line and what is allowed."""
    with pytest.raises(RapidJWSError) as caught:
        load_issuing(written(tmp_path, text))
    assert caught.value.code in ("configuration_invalid", "key_timing_unsafe")
    assert where in str(caught.value)
    assert words in str(caught.value)
    result = run("check", "--config", str(tmp_path / "issuing.toml"))
    assert result.exit_code == 2
    assert where in result.output


@pytest.mark.parametrize("name", ["listen", "metrics_listen"])
def test_an_address_that_is_none_is_found_before_the_start(tmp_path: Path, name: str) -> None:
    """`check` and `serve` name the line of an address that nothing can listen on."""
    config = str(written(tmp_path, f'{GOOD}[publication]\n{name} = "nowhere"\n'))
    for word in ("check", "serve"):
        result = run(word, "--config", config)
        assert result.exit_code == 2
        assert f":7: publication.{name}" in result.output


def test_every_setting_of_the_schema_is_taken(tmp_path: Path) -> None:
    """The examples of the page make a file that is good, each of the two stores with it."""
    pytest.importorskip("redis", reason="redis absent: pip install redis")
    pytest.importorskip("boto3", reason="boto3 absent: pip install 'rapidjws[aws]'")
    for store in ("state_file", "redis"):
        other = {
            "state_file": ("redis", "redis_name", "revocations_file", "kms_regions"),
            "redis": ("state_file", "revocations_redis", "key_folder"),
        }[store]
        lines = [
            f"{name} = {one.example}"
            for name, one in TABLES["issuing"].items()
            if name not in other and not name.startswith("pkcs11_")  # test_pkcs11_issuer.py has these
        ]
        text = "[issuing]\n" + "\n".join(lines) + "\n"
        load_issuing(written(tmp_path, text.replace("https://old.example", "a")))


def test_a_token_for_a_client_of_the_file(tmp_path: Path) -> None:
    """``issue token`` prints a token of the active key; exit 1 where the client may not, 2 without a key."""
    text = GOOD + "jwks_max_age_s = 1\nclock_skew_s = 0\nstate_max_age_s = 0.01\n"
    path = written(tmp_path, text + "[token]\ninsecure_allow_basic = true\n" + CLIENT)
    command = ("token", "--config", str(path), "--client", "a")
    refused = run(*command)
    assert (refused.exit_code, "no_signing_key" in refused.output) == (2, True)
    clock = FakeClock(time.time() - 60)
    earlier = load_issuing(path, clock=clock).life_cycle
    earlier.tick()
    clock.advance(59)
    earlier.tick()
    printed = run(*command)
    assert (printed.exit_code, printed.output.count(".")) == (0, 2), printed.output
    assert run(*command, "--audience", "https://other.example").exit_code == 1
    assert run("token", "--config", str(path), "--client", "b").exit_code == 1
    assert run("token", "--config", str(written(tmp_path, GOOD)), "--client", "a").exit_code == 2


@pytest.mark.source_tree
def test_the_page_is_current() -> None:
    """The page of the settings is what its tool makes of the schema."""
    command = [sys.executable, str(ROOT / "tools" / "issuing_configuration.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run tools/issuing_configuration.py"


def test_the_commands_make_and_show_keys(tmp_path: Path) -> None:
    """`tick` makes the first key, `status` shows it, `promote` refuses it, `taint` takes it out."""
    config = str(written(tmp_path, GOOD))
    made = run("tick", "--config", config)
    assert made.exit_code == 0, made.output
    kid, alg, stage = made.output.split()
    assert (alg, stage) == ("ES256", "next")
    shown = run("status", "--config", config, "--json")
    assert json.loads(shown.output)["kid"] == kid
    assert kid in run("status", "--config", config).output
    assert "370 s before it signs" in run("check", "--config", config).output
    refused = run("promote", "--config", config)
    assert refused.exit_code == 1
    assert "+ 370 s" in refused.output
    assert "tainted" in run("taint", "--kid", kid, "--why", "drill", "--config", config).output
    assert run("taint", "--kid", "nobody", "--why", "x", "--config", config).exit_code == 1
    private = [json.loads(one.read_text())["d"] for one in (tmp_path / "keys").iterdir()]
    assert private
    assert not any(secret in (tmp_path / "keys.json").read_text() + shown.output for secret in private)


def test_a_second_issuer_does_not_lead(tmp_path: Path) -> None:
    """While the lease of one process runs, `tick` of another ends with 1 and changes nothing."""
    path = written(tmp_path, GOOD)
    config = str(path)
    load_issuing(path).life_cycle.tick()
    before = (tmp_path / "keys.json").read_bytes()
    second = run("tick", "--config", config)
    assert second.exit_code == 1
    assert "not_leader" in second.output
    assert (tmp_path / "keys.json").read_bytes() == before


def test_a_timer_may_tick_as_often_as_it_likes(tmp_path: Path) -> None:
    """`tick` leaves no lease behind: the next run leads at once, and `status` names no leader."""
    config = str(written(tmp_path, GOOD))
    for _ in range(3):
        assert run("tick", "--config", config).exit_code == 0
    assert "leader: none" in run("status", "--config", config).output


def test_a_state_that_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    """A state of another version is an error with what to do, and stays as it is."""
    config = str(written(tmp_path, GOOD))
    (tmp_path / "keys.json").write_text('{"format": 9}')
    for words in (["tick"], ["status"], ["promote"], ["taint", "--kid", "a", "--why", "b"]):
        result = run(*words, "--config", config)
        assert result.exit_code == 2
        assert "key_state_unreadable" in result.output
    assert (tmp_path / "keys.json").read_text() == '{"format": 9}'


@pytest.mark.source_tree
@pytest.mark.parametrize(("name", "least"), [("issuing.md", 3), ("token-service.md", 1), ("signers.md", 1)])
def test_every_example_of_the_pages_is_good(name: str, least: int, tmp_path: Path) -> None:
    """Each TOML block of a page is read without a complaint; one without [issuing] stands beside one."""
    page = (ROOT / "docs" / "how-to" / name).read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= least
    (tmp_path / "orders.jwks").write_text(
        json.dumps({"keys": [make_key("ES256", kid="a").public().as_dict()]})
    )
    secret = tmp_path / "orders.secret"
    secret.write_text("s" * 43)
    secret.chmod(0o600)
    for block in blocks:
        if "s3_bucket" in block:
            pytest.importorskip("boto3", reason="boto3 absent: pip install 'rapidjws[aws]'")
        load_issuing(written(tmp_path, block if "\n[issuing]" in f"\n{block}" else GOOD + block))
