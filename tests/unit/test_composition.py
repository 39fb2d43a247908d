"""A service built out of one configuration: all its parts come from one reading, and hear of one another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rapidjws import ConfigurationError
from rapidjws.config.load import build_service, sender_of
from rapidjws.config.read import load_config
from rapidjws.sidecar.app import app_from
from rapidjws.sidecar.settings import settings_from
from rapidjws.testing import FakeIssuer
from rapidjws.verify.protocols import Event

A = FakeIssuer("https://a.example", "ES256")
TEXT = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_file = "a.json"
leeway_s = 30

[rollout]
phase = "warning"

[observability]
exemplars = false

[logs]
lines_per_minute = 7

[server]
listen = "127.0.0.1:1"
"""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(json.dumps(A.jwks.as_dict()))
    path = tmp_path / "rapidjws.toml"
    path.write_text(TEXT)
    return path


def test_each_part_has_its_section(path: Path) -> None:
    """Engine, policy, counts and log are made out of their tables, and the engine decides by the policy."""
    service = build_service(load_config(path))
    assert [one.leeway_s for one in service.engine.issuers] == [30]
    assert service.engine.rollout is service.rollout
    assert service.rollout.state.plan().find(None, None)[1].phase_for(None) == "warning"
    assert service.recorder.has_exemplars is False
    assert service.logs.lines_per_minute == 7


def test_all_parts_come_from_one_reading(path: Path) -> None:
    """Where the file is another one when it is built, engine and policy are both those of the new one."""
    loaded = load_config(path)
    path.write_text(TEXT.replace("leeway_s = 30", "leeway_s = 31").replace('"warning"', '"detection"'))
    service = build_service(loaded)
    assert [one.leeway_s for one in service.engine.issuers] == [31]
    assert service.rollout.state.plan().find(None, None)[1].phase_for(None) == "detection"


def test_events_reach_every_listener(path: Path) -> None:
    """What happens around the file reaches listeners that were given, whatever one of them raises."""
    seen: list[Event] = []

    def fails(event: Event) -> None:
        raise ValueError

    service = build_service(load_config(path), fails, seen.append)
    path.write_text(TEXT.replace("leeway_s = 30", "leeway_s = 31"))
    service.config.reload()
    assert [one.value for one in seen if one.name == "config_loaded"] == [1]


def test_the_command_line_holds_over_a_reload(path: Path) -> None:
    """Settings given at the start take the place of the file's, over reloads and where they are shown."""
    app = app_from(load_config(path, server={"listen": "127.0.0.1:2", "workers": 3}))
    assert app.tables()["server"] == {"listen": "127.0.0.1:2", "workers": 3}
    path.write_text(TEXT.replace("leeway_s = 30", "leeway_s = 31"))
    app.reload()
    assert app.tables()["issuers"][0]["leeway_s"] == 31
    assert app.tables()["server"] == {"listen": "127.0.0.1:2", "workers": 3}
    path.write_text(TEXT.replace("[logs]", "[logs]\nqueue_lines = 9"))
    with pytest.raises(ConfigurationError, match="restart"):
        app.reload()


def test_a_server_that_is_no_table_is_found_with_the_rest(path: Path) -> None:
    """Settings of the command line hide no fault of the file."""
    path.write_text(TEXT.partition("[server]")[0] + '\n[[server]]\nlisten = "127.0.0.1:1"\n')
    loaded = load_config(path, check=False, server={"workers": 2})
    assert isinstance(loaded.tables["server"], list)
    with pytest.raises(ConfigurationError, match="server"):
        load_config(path, server={"workers": 2})


def test_a_worker_checks_proofs_by_what_its_service_made(path: Path) -> None:
    """The checks that requests meet are the service's, whose replay store reports; other settings stay."""
    path.write_text(TEXT + '\n[dpop]\nexternal_origins = ["https://api.example"]\n')
    loaded = load_config(path)
    settings = settings_from(loaded.section("server"), loaded.folder, sender_of(loaded))
    app = app_from(loaded)
    served = app.settings_from(settings)
    assert app.sender is not None
    assert served.sender is app.sender
    assert served.sender is not settings.sender
    assert replace(served, sender=settings.sender) == settings


def test_a_worker_without_proofs_keeps_its_settings(path: Path) -> None:
    """Where no token is bound, nothing is made anew."""
    loaded = load_config(path)
    settings = settings_from(loaded.section("server"), loaded.folder, None)
    assert app_from(loaded).settings_from(settings) is settings
