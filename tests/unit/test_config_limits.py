"""Limits before a configuration is parsed, whose thread reads it, how often, and addresses and URLs in it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from rapidjws import ConfigurationError
from rapidjws.cli.app import app
from rapidjws.config import load as following
from rapidjws.config import read as module
from rapidjws.config.load import ConfigFile, build_service
from rapidjws.config.nesting import NESTING_MAX, too_deep
from rapidjws.config.read import MAX_BYTES, load_config
from rapidjws.keys.settings import Transport
from rapidjws.sidecar.settings import absolute_address, settings_from
from rapidjws.testing import FakeIssuer

A = FakeIssuer("https://a.example", "ES256")
GOOD = '[[issuers]]\niss = "https://a.example"\nalgorithms = ["ES256"]\njwks_file = "a.json"\n'


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(json.dumps(A.jwks.as_dict()))
    path = tmp_path / "rapidjws.toml"
    path.write_text(GOOD)
    return path


def dotted(parts: int) -> str:
    """Return a dotted key of so many parts."""
    return ".".join(["a"] * parts)


@pytest.mark.parametrize(
    ("text", "is_json", "line"),
    [
        (f"{dotted(NESTING_MAX)} = 1", False, None),
        (f"\n{dotted(NESTING_MAX + 1)} = 1", False, 2),
        (f"[{dotted(NESTING_MAX + 1)}]", False, 1),
        (f"x = {'[' * NESTING_MAX}", False, None),
        (f"x = {'[' * (NESTING_MAX + 1)}", False, 1),
        (f'x = "{"." * 99}"\n# {"." * 99}', False, None),
        (f"x = '{'.' * 99}'\ny = '''\n{'[' * 99}\n'''\n", False, None),
        (f'x = """\n{"[" * 99}\\"""{"[" * 99}"""', False, None),
        (f'x = {{a = """b"""", {dotted(20)} = 1}}', False, 1),
        (f"x = {{a = '''b'''', {dotted(20)} = 1}}", False, 1),
        (f"x = '\n{'[' * 20}", False, 2),
        (f'"a\\"{"[" * 99}"', True, None),
        ("[" * NESTING_MAX, True, None),
        (f'{{"a": "\'#", "b": {"[" * NESTING_MAX}', True, 1),
    ],
)
def test_S29_nesting_is_measured_outside_of_strings_and_comments(
    text: str, is_json: bool, line: int | None
) -> None:
    """Brackets and dots count where they nest, at the bound and one beyond it, and nowhere else."""
    assert too_deep(text, is_json=is_json) == line


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.toml", f"{dotted(20_000)} = 1\n"), ("c.json", "[" * 20_000), ("c.toml", "x = " + "[" * 20_000)],
)
def test_S29_a_deep_file_never_reaches_a_parser(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with the line and the limit before TOML or JSON is parsed."""
    monkeypatch.setattr(module, "_toml_loads", _fail)
    monkeypatch.setattr(module, "json", SimpleNamespace(loads=_fail))  # other threads read JSON, too
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=rf"{name}:1.*at most {NESTING_MAX} levels"):
        load_config(tmp_path / name)


def test_S29_a_large_file_is_not_read(tmp_path: Path) -> None:
    """A file of the largest size is read, one octet more is refused."""
    path = tmp_path / "c.toml"
    path.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD)))
    assert load_config(path).issuers
    path.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD) + 1))
    with pytest.raises(ConfigurationError, match=str(MAX_BYTES)):
        load_config(path)


def test_S29_a_reload_is_not_on_the_thread_of_schedules(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file is read by another thread than the one that starts fetches in time."""
    config = ConfigFile(path)
    names: list[str] = []
    read = threading.Event()

    def loading(*_: Any, **__: Any) -> Any:
        names.append(threading.current_thread().name)
        read.set()
        raise ConfigurationError("configuration_invalid", "x")

    monkeypatch.setattr(following, "load_config", loading)
    config.watch(0.01)
    path.write_text(GOOD + "# changed\n")
    assert read.wait(60)
    assert names
    assert "rapidjws-keys" not in names


def _fail(*_: Any, **__: Any) -> Any:
    raise AssertionError("parsed")


def test_A3_a_configuration_is_parsed_once_at_a_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the supervisor read is what its workers build from, until the file is another one."""
    count = []
    real = module._toml_loads
    monkeypatch.setattr(module, "_toml_loads", lambda text: count.append(1) or real(text))
    loaded = load_config(path)
    settings_from(loaded.section("server"), path.parent)
    for _ in range(2):
        assert build_service(loaded).engine.issuers[0].iss == A.iss
    assert len(count) == 1
    path.write_text(GOOD + "# another one\n")
    build_service(loaded)
    assert len(count) == 2


def test_N13_relative_paths_of_unix_sockets(tmp_path: Path) -> None:
    """They are taken relative to the configuration's folder; ports and absolute paths stay as they are."""
    table = {"listen": "unix:public.sock", "admin_listen": "unix:/run/admin.sock"}
    settings = settings_from(table, tmp_path)
    assert settings.listen == f"unix:{tmp_path}/public.sock"
    assert settings.admin_listen == "unix:/run/admin.sock"
    assert absolute_address("127.0.0.1:0", tmp_path) == "127.0.0.1:0"
    with pytest.raises(ConfigurationError):
        settings_from({"listen": "unix:"}, tmp_path)


def test_N13_a_refused_scheme_names_the_setting(path: Path) -> None:
    """A plain-http URL is refused with the setting that allows it, in Python, in a file and on the line."""
    with pytest.raises(ConfigurationError, match="insecure_allow_http"):
        Transport().check_url("http://a.example/jwks")
    with pytest.raises(ConfigurationError) as refused:
        Transport().check_url("file:///a")
    assert "insecure" not in str(refused.value)
    path.write_text(GOOD.replace('jwks_file = "a.json"', 'jwks_url = "http://a.example/jwks"'))
    with pytest.raises(ConfigurationError, match=r"insecure_allow_http = true"):
        ConfigFile(path)
    command = ["verify", "a.b.c", "--alg", "ES256", "--jwks", "http://127.0.0.1:9/jwks"]
    found = CliRunner().invoke(app, command)
    assert (found.exit_code, "--insecure-allow-http" in found.output) == (2, True)
    found = CliRunner().invoke(app, [*command, "--insecure-allow-http"])
    assert (found.exit_code, "not fetched" in found.output) == (2, True)


def test_N13_keys_status_says_nothing_where_there_is_nothing(path: Path) -> None:
    """An issuer whose keys come from a file has no age: the table shows a dash, never None."""
    found = CliRunner().invoke(app, ["keys", "status", "--config", str(path)])
    assert found.exit_code == 0, found.output
    assert "None" not in found.output
    assert found.output.splitlines()[1].split()[-3:] == ["-", "-", "ok"]


def test_N14_readme_names_each_extra_at_install() -> None:
    """Who reads how to install sees every extra there is, and the commands' first."""
    root = Path(__file__).resolve().parents[2]
    install = (root / "README.md").read_text("utf-8").partition("## Install")[2].partition("|")[0]
    project = (root / "pyproject.toml").read_text("utf-8").partition("[project.optional-dependencies]")[2]
    extras = [line.partition(" = ")[0] for line in project.partition("\n[")[0].split("\n") if " = " in line]
    assert {"cli", "server", "all"} < set(extras)
    assert [name for name in extras if name not in install] == []
    assert "rapidjws[cli]" in install


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"partner_header": "X Partner"}, "partner_header"),
        ({"partner_header": "x-partner: shop"}, "partner_header"),
        ({"partner_header": ""}, "partner_header"),
        ({"partner_header": "authorization"}, "partner_header"),
        ({"partner_header": "Cookie", "token_cookie": "session"}, "partner_header"),
        ({"partner_header": "X-Original-URI"}, "route_headers"),
        ({"route_headers": ["X-Route", "X Route"]}, "route_headers"),
        ({"route_headers": "Authorization"}, "route_headers"),
        ({"workers": 100_000}, "workers"),
        ({"workers": 0}, "workers"),
    ],
)
def test_settings_that_could_never_hold_are_refused(
    tmp_path: Path, table: dict[str, Any], place: str
) -> None:
    """A header that no request can carry, or that another setting reads first; no or too many processes."""
    with pytest.raises(ConfigurationError) as refused:
        settings_from(table, tmp_path)
    assert refused.value.place == f"server.{place}"


def test_headers_of_several_settings_may_differ(tmp_path: Path) -> None:
    """What each setting names for itself is taken."""
    table = {
        "partner_header": "X-Partner",
        "route_headers": ["X-Route", "x-route"],
        "token_header": "X-Token",
    }
    assert settings_from(table, tmp_path).route_headers == ("X-Route", "x-route")
