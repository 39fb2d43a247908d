"""``rapidjws migrate``: every call of the three libraries is found, nothing else, and nothing is executed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jwt as pyjwt
import pytest
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.compat import source_findings
from rapidjws.compat.native_forms import FORMS, form_of, library_of
from rapidjws.compat.source_findings import findings_of


def names(source: str) -> list[str]:
    """Return what is found in a source, imports left out."""
    return [one.name for one in findings_of(source.encode(), "a.py") if one.kind != "import"]


FOUND = [
    ("import jwt\njwt.decode(t, k)", "jwt.decode"),
    ("import jwt as j\nj.encode(t, k)", "jwt.encode"),
    ("from jwt import decode\ndecode(t)", "jwt.decode"),
    ("from jwt import decode as d\nd(t)", "jwt.decode"),
    ("from jwt import *\ndecode(t)", "jwt.decode"),
    (
        "import jwt.algorithms\njwt.algorithms.RSAAlgorithm.from_jwk(k)",
        "jwt.algorithms.RSAAlgorithm.from_jwk",
    ),
    (
        "from jwt.algorithms import ECAlgorithm\nECAlgorithm.from_jwk(k)",
        "jwt.algorithms.ECAlgorithm.from_jwk",
    ),
    ("from jwt.api_jwt import decode\ndecode(t)", "jwt.decode"),
    ("def f():\n    import jwt\n    return jwt.decode(t)", "jwt.decode"),
    ("def f():\n    return jwt.decode(t)\nimport jwt", "jwt.decode"),
    ("try:\n    import jwt\nexcept ImportError:\n    jwt = None\njwt.decode(t)", "jwt.decode"),
    ("import jwt\nread = jwt.decode\nread(t)", "jwt.decode"),
    ("import jwt\nx = [lambda t: jwt.decode(t)]", "jwt.decode"),
    ("import jwt\nmap(jwt.decode, ts)", "jwt.decode"),
    ("import jwt\n@f(jwt.decode)\ndef g(): pass", "jwt.decode"),
    ("import jwt\ndef f(read=jwt.decode): pass", "jwt.decode"),
    ("import jwt\nasync def f():\n    return (await g(jwt.decode(t)))", "jwt.decode"),
    ("import jwt\nclass A:\n    read = jwt.decode(t)", "jwt.decode"),
    ("import importlib\nm = importlib.import_module('jwt')\nm.decode(t)", "jwt.decode"),
    ("m = __import__('jwt')\nm.decode(t)", "jwt.decode"),
    ("from jose import jwt\njwt.decode(t, k)", "jose.jwt.decode"),
    ("from jose import jws as s\ns.verify(t, k, 'ES256')", "jose.jws.verify"),
    ("import jose.jwt\njose.jwt.get_unverified_claims(t)", "jose.jwt.get_unverified_claims"),
    ("from jose.exceptions import JWTError\ntry: f()\nexcept JWTError: pass", "jose.exceptions.JWTError"),
    ("from authlib.jose import jwt\njwt.decode(t, k)", "authlib.jose.jwt.decode"),
    ("from authlib.jose import JsonWebKey as K\nK.import_key(k)", "authlib.jose.JsonWebKey.import_key"),
    ("import authlib.jose\nauthlib.jose.jwt.encode(h, c, k)", "authlib.jose.jwt.encode"),
    ("from authlib import jose\njose.jwt.decode(t, k)", "authlib.jose.jwt.decode"),
]
NOT_FOUND = [
    "jwt.decode(t)",
    "from . import jwt\njwt.decode(t)",
    "from mine import jwt\njwt.decode(t)",
    "import jwt_tools as jwt\njwt.decode(t)",
    "import jwt\ndef f(jwt):\n    return jwt.decode(t)",
    "import jwt\ndef f():\n    jwt = Codec()\n    return jwt.decode(t)",
    "import jwt\ndef f():\n    for jwt in ts:\n        jwt.decode(t)",
    "import jwt\nlambda jwt: jwt.decode(t)",
    "import jwt\nx.jwt.decode(t)",
    "import jwt\nb'x'.decode()",
    "class A:\n    import jwt\n    def f(self):\n        return jwt.decode(t)",
    "# jwt.decode\n'''import jwt'''\n'jwt.decode(t)'",
    "import joserfc\njoserfc.jwt.decode(t)",
    "from authlib.oauth2 import jwt\njwt.decode(t)",
]


@pytest.mark.parametrize(("source", "name"), FOUND)
def test_a_call_is_found_under_any_alias(source: str, name: str) -> None:
    """A use is found with the name that the table has, whatever it is called in the source."""
    assert name in names(source)


@pytest.mark.parametrize("source", NOT_FOUND)
def test_other_names_are_not_found(source: str) -> None:
    """A name that only looks like one of the libraries is left alone."""
    assert names(source) == []


def test_methods_of_objects_are_found() -> None:
    """Methods are found on objects of imported classes: in variables, attributes, annotations, at once."""
    source = """
import jwt
from jwt import PyJWKClient
from authlib.jose import JsonWebToken
client: PyJWKClient = PyJWKClient(url)
client.get_signing_key_from_jwt(t)
class A:
    def __init__(self):
        self.client = jwt.PyJWKClient(url)
    def f(self):
        return self.client.get_signing_key(kid)
if (codec := jwt.PyJWT()): codec.decode(t)
JsonWebToken(["RS256"]).decode(t, k).validate()
"""
    assert names(source) == [
        "jwt.PyJWKClient",
        "jwt.PyJWKClient().get_signing_key_from_jwt",
        "jwt.PyJWKClient",
        "jwt.PyJWKClient().get_signing_key",
        "jwt.PyJWT",
        "jwt.PyJWT().decode",
        "authlib.jose.JsonWebToken",
        "authlib.jose.JsonWebToken().decode",
        "authlib.jose.JsonWebToken().decode().validate",
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("jwt.decode(t, options={'verify_signature': False})", "NOT VERIFIED"),
        ("jwt.decode(t, k, ['RS256'], {'verify_exp': False})", "verify_exp is off"),
        ("jwt.decode(t, k, algorithms=['HS256', 'RS256'])", "algorithm confusion"),
        ("jwt.decode(t, k, algorithms='RS256')", "one text: PyJWT allows"),
        ("jose.jwt.decode(t, k, 'RS256')", "one text: python-jose allows"),
        ("jose.jws.verify(t, k, ['RS256'], verify=False)", "NOT VERIFIED"),
        ("jose.jws.verify(t, k, ['RS256'], False)", "NOT VERIFIED"),
        ("jwt.decode(t, k, verify=False)", "ignores"),
        ("jwt.decode(t, k, algorithms=['none'])", "none"),
    ],
)
def test_dangerous_calls_are_named(call: str, words: str) -> None:
    """A call that switches a check off, or allows too much, has a note that says so."""
    source = f"import jwt, jose.jws, jose.jwt\n{call}".encode()
    (found,) = [one for one in findings_of(source, "a.py") if one.kind == "call"]
    assert any(words in note for note in found.notes), found.notes


@pytest.mark.parametrize(
    ("source", "native"),
    [
        ("import jwt", "import rapidjws.compat.pyjwt as jwt"),
        ("import jwt as j", "import rapidjws.compat.pyjwt as j"),
        ("from jwt import decode as d", "from rapidjws.compat.pyjwt import decode as d"),
        (
            "from jwt.exceptions import DecodeError",
            "from rapidjws.compat.pyjwt.exceptions import DecodeError",
        ),
        ("import jwt.algorithms", "import rapidjws.compat.pyjwt as jwt"),
    ],
)
def test_an_import_becomes_one_that_works(source: str, native: str) -> None:
    """The import to write can be executed."""
    (found,) = findings_of(source.encode(), "a.py")
    assert found.native == native
    exec(compile(native, "native", "exec"), {})


def test_the_table_has_the_names_of_pyjwt() -> None:
    """Every public function and class of PyJWT has a native form, and each form a library."""
    for name in pyjwt.__all__:
        if name != "InsecureKeyLengthWarning" and not name.endswith(("JWKError", "JWKSetError")):
            assert form_of(f"jwt.{name}") is not None, name
    assert all(library_of(name) is not None and form.form and form.what for name, form in FORMS.items())


BROKEN = [
    (b"def f(:\n", "no Python source"),
    (b"import jwt\0\n", "no Python source"),
    ("# coding: latin-1\nimport jwt\nx = '\xe9'".encode("latin-1"), None),
    (b"\xef\xbb\xbfimport jwt", None),
    (b"# coding: nonsense\nimport jwt", "no Python source"),
    (b"import jwt\nx = '\xff'", "no Python source"),
    (b"x = " + b"(" * 5000 + b")" * 5000, "no"),
    (b"x = " + b"-" * 200_000 + b"1", "n"),
    (b"x = " + b"1+" * 200_000 + b"1", "n"),
    (b"x = a" + b".b" * 20_000, "n"),
    (b"", None),
    (b"x = '\\d'", None),
]


@pytest.mark.parametrize(("octets", "reason"), BROKEN, ids=map(str, range(len(BROKEN))))
def test_a_broken_source_is_named_and_the_rest_goes_on(
    octets: bytes, reason: str | None, tmp_path: Path
) -> None:
    """What cannot be parsed is named with its reason, and the other files are looked at."""
    (tmp_path / "a.py").write_bytes(octets)
    (tmp_path / "b.py").write_text("import jwt\njwt.decode(t)\n", "utf-8")
    found, unread, _ = source_findings.look_at([tmp_path])
    assert "jwt.decode" in [one.name for one in found if one.file.endswith("b.py")]
    if reason is None or (unread == [] and reason == "n"):
        assert unread == []
    else:
        assert [reason in one.reason for one in unread] == [True]


def test_links_pipes_and_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder no link is followed; a pipe is not waited for; a large file is named."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("import jwt", "utf-8")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "ring").symlink_to(inside)
    (inside / "out").symlink_to(outside)
    (inside / "link.py").symlink_to(outside / "a.py")
    os.mkfifo(inside / "pipe.py")
    (inside / "large.py").write_bytes(b"#" * 2048)
    for name in (".git", "node_modules", "__pycache__", "venv"):
        (inside / name).mkdir()
        (inside / name / "x.py").write_text("import jwt", "utf-8")
    monkeypatch.setattr(source_findings, "MAX_SOURCE_BYTES", 1024)
    found, unread, count = source_findings.look_at([inside])
    assert (found, count) == ([], 0)
    assert {Path(one.file).name for one in unread} == {"pipe.py", "large.py"}


def run(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and output."""
    result = CliRunner().invoke(app, ["migrate", *arguments])
    return result.exit_code, result.output


def test_the_command_and_its_exit_codes(tmp_path: Path) -> None:
    """Exit 0 for nothing found, 1 for something, 2 for what could not be looked at; nothing is executed."""
    clean, used, broken = tmp_path / "clean.py", tmp_path / "used.py", tmp_path / "broken.py"
    clean.write_text("print(1)", "utf-8")
    used.write_text(
        "import jwt\nraise SystemExit(7)\njwt.decode(t, k, options={'verify_signature': False})", "utf-8"
    )
    broken.write_text("def", "utf-8")
    assert run(str(clean)) == (0, "files: 1, places to change: 0\n")
    code, text = run(str(used), str(clean))
    assert code == 1
    assert f"{used}:3:1: PyJWT call jwt.decode" in text
    assert "WARNING: the signature is NOT VERIFIED" in text
    assert run(str(broken))[0] == run(str(tmp_path / "none.py"))[0] == run()[0] == 2
    code, text = run(str(tmp_path), "--json")
    members = json.loads(text.splitlines()[0])
    assert code == 1
    assert members["files"] == 2
    assert [one["line"] for one in members["findings"]] == [1, 3]
    assert members["not_looked_at"][0]["file"] == str(broken)


def test_a_hostile_file_name_is_escaped(tmp_path: Path) -> None:
    """A name with control characters reaches no terminal as it is."""
    (tmp_path / "a\x1b[31m\n.py").write_text("import jwt", "utf-8")
    code, text = run(str(tmp_path))
    assert code == 1
    assert "\x1b" not in text
