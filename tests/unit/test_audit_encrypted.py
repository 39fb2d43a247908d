"""Encrypted contents that the core decrypts by the bundle: each verdict is what one by one gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from audit_service import ISS, Service, service

from rapidjws.audit import ContentKeys, ErasureRequest, TrailReader, Verification
from rapidjws.audit.content_check import ContentCheck
from rapidjws.audit.erasure import Erased

GONE = "erased, as the log says"


def keys(folder: Path, per: str = "month") -> ContentKeys:
    """Return the keys of contents in a folder."""
    return ContentKeys(folder / "keys", bytes(range(32)), per=per)


def report(reader: TrailReader, given: ContentKeys) -> dict[str, Any]:
    """Verify a trail again."""
    return Verification(reader, keys=given).run().as_dict()


def decide(world: Service, *subjects: str) -> None:
    """Decide about a good token of each subject."""
    for sub in subjects:
        assert world.decide(world.token(sub=sub, mail=f"{sub}@example.com")).code == "ok"


def in_both_ways(
    reader: TrailReader, folder: Path, per: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return what a verification says, the same whether or not the core decrypts."""
    found = report(reader, keys(folder, per))
    with monkeypatch.context() as patched:
        patched.setattr(ContentCheck, "opened", lambda *_: None)
        assert report(reader, keys(folder, per)) == found
    return found


@pytest.mark.parametrize("per", ["month", "subject"])
def test_L_bundles_that_the_core_decrypts_give_what_records_alone_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per: str
) -> None:
    """Accepted and refused tokens, erased ones and altered ones: the report is the same in both ways."""
    with service(keys=keys(tmp_path, per), content=("token", "claims"), claims=("mail",)) as world:
        decide(world, *(f"person-{at % 5}" for at in range(280)))
        token = world.token(sub="eve")
        for given in (token[:-8] + "AAAAAAAA", world.token(sub="eve", exp=1), "not a token"):
            world.decide(given)
        world.client.erase(ErasureRequest(records=(7,)))
        if per == "subject":
            world.client.erase(ErasureRequest(subjects=((ISS, "person-3"),)))
        decide(world, "ann")
        reader = world.closed()
        found = in_both_ways(reader, tmp_path, per, monkeypatch)
        assert found["good"]
        file = max((world.folder / "content").rglob("[0-9]*"), key=lambda one: one.stat().st_size)
        octets = bytearray(file.read_bytes())
        for at in range(200, len(octets), 4001):
            octets[at] ^= 1
        file.write_bytes(octets)
        altered = in_both_ways(reader, tmp_path, per, monkeypatch)
        assert not altered["good"]


def test_L_the_core_decrypts_what_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of encrypted contents are verified by the column: none of them is read one by one."""
    with service(keys=keys(tmp_path)) as world:
        decide(world, *("ann",) * 20)
        reader = world.closed()
        monkeypatch.setattr(ContentCheck, "token", lambda *_: pytest.fail("read one by one"))
        assert report(reader, keys(tmp_path))["agreed"] == 20


def test_L_an_erased_subjects_key_that_is_put_back_verifies_nothing(tmp_path: Path) -> None:
    """Where the log says that a key is erased, a copy of it from before verifies nothing again."""
    with service(keys=keys(tmp_path, "subject")) as world:
        decide(world, "ann", "bob")
        shutil.copytree(tmp_path / "keys", tmp_path / "before")
        world.client.erase(ErasureRequest(subjects=((ISS, "ann"),)))
        reader = world.closed()
        shutil.rmtree(tmp_path / "keys")
        (tmp_path / "before").rename(tmp_path / "keys")
        found = report(reader, keys(tmp_path, "subject"))
        assert (found["good"], found["agreed"]) == (True, 1)
        assert found["not_verified_again"] == {GONE: 1, "record of an erasure": 1}


@pytest.mark.parametrize(
    ("erased", "gone"), [(Erased(before_us=1 << 52), 3), (Erased(records={1}), 1), (Erased(before_us=1), 0)]
)
def test_L_what_the_log_erased_is_not_verified_though_its_key_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, erased: Erased, gone: int
) -> None:
    """Records that an erasure names, by index or by time, are not verified again while a key could."""
    with service(keys=keys(tmp_path)) as world:
        decide(world, "ann", "bob", "ann")
        reader = world.closed()
        monkeypatch.setattr(TrailReader, "erased", lambda _: erased)
        found = report(reader, keys(tmp_path))
        assert found["agreed"] == 3 - gone
        assert found["not_verified_again"] == ({GONE: gone} if gone else {})
