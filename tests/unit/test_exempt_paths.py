"""Paths that need no token: exact ones, and all below a prefix that every router reads alike."""

from __future__ import annotations

import pytest

from rapidjws.errors import ConfigurationError
from rapidjws.middleware.exempt_paths import ExemptPaths
from rapidjws.middleware.requests import is_exempt

PATHS = ExemptPaths(["/health", "/static/*", "/.well-known/*"])


@pytest.mark.parametrize(
    "path", ["/health", "/static/", "/static/app.js", "/static/a/b.css", "/static/a/",
             "/.well-known/jwks.json", "/static/...", "/static/.hidden"],
)  # fmt: skip
def test_exempt_paths_are_the_named_ones_and_all_below_a_prefix(path: str) -> None:
    """An exact path, and a plain path below a prefix, need no token."""
    assert path in PATHS
    assert is_exempt(PATHS, path, path)
    assert is_exempt(PATHS, path, f"{path}?v=1")


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/health/", "/Health", "/static", "/staticadmin", "/STATIC/a", "//static/a", "/static//a",
     "/static/./a", "/static/..", "/static/../admin", "/static/a/..", "/static/..;/admin", "/static/;a=b/c",
     "/static/a\\..\\admin", "/static/a%2e%2e/b", "/static/\u00e9", "/static/a\n", "/static/a b",
     "/static/a\0", "/admin/static/a", "static/a", ""],
)  # fmt: skip
def test_every_other_path_needs_a_token(path: str) -> None:
    """A boundary, another case, and whatever two routers could read apart are not exempt."""
    assert path not in PATHS
    assert not is_exempt(PATHS, path, path)


@pytest.mark.parametrize(
    ("path", "target"),
    [("/static/admin", "/static/x/%2e%2e/admin"), ("/static/a", "/static/%61"),
     ("/static/a", "/b/../static/a"), ("/static/a/b", "/static/a%2Fb"), ("/static/a", "//static/./a")],
)  # fmt: skip
def test_a_target_that_was_written_otherwise_needs_a_token(path: str, target: str) -> None:
    """Where the server decoded or normalised the path, another reader may read another one."""
    assert path in PATHS
    assert not is_exempt(PATHS, path, target)


@pytest.mark.parametrize(
    "paths",
    ["/health", ["health"], ["/*"], ["/a*"], ["/a/*/b"], ["/a/../*"], ["/a//*"], ["/a;b/*"], [1], None],
)
def test_a_prefix_that_would_exempt_too_much_is_refused(paths: object) -> None:
    """All paths, wildcards elsewhere and prefixes that nobody reads alike are operators' slips."""
    with pytest.raises(ConfigurationError) as caught:
        ExemptPaths(paths)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.place) == ("configuration_invalid", "authenticator.exempt")
