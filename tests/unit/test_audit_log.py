"""The audit log: tree, tiles, checkpoints and proofs, against an independent Merkle tree."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pymerkle
import pytest
import rfc8785
from audit_trails import ORIGIN, entry, filled, flip, signer, whole
from hypothesis import given
from hypothesis import strategies as st

from rapidjws import JWK, RapidJWSError
from rapidjws.audit import Checkpoint, NoteKey, TrailReader, TrailWriter
from rapidjws.audit.merkle import is_consistent, leaf_hash, root_of_inclusion
from rapidjws.audit.records import EACH, FIELDS, FIXED, RecordTemplate, canonical, gap_record, parsed_record
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key


def oracle(size: int) -> Any:
    """Return the tree of the same records by another implementation."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(size):
        tree.append_entry(entry(number))
    return tree


def code_of(call: Any, *given: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given)
    return refused.value


def test_L_roots_are_those_of_another_implementation(tmp_path: Path) -> None:
    """Roots at sizes around tiles, and proofs of both kinds, agree with pymerkle."""
    made = filled(tmp_path)
    tree = oracle(70_000)
    for size in (1, 2, 3, 255, 256, 257, 511, 600, 65_535, 65_536, 65_793, 70_000):
        made.append([entry(number) for number in range(made.size, size)])
        made.publish()
        reader = TrailReader(tmp_path, made.key)
        assert reader.size == size
        assert reader.checkpoint.root == tree.get_root(size)
    for index in (0, 1, 255, 256, 65_535, 65_536, 69_999):
        proof = reader.prove(index)
        proof.verify(made.key)
        theirs = tree.prove_inclusion(index + 1, 70_000).serialize()
        assert [one.hex() for one in proof.path] == theirs["path"][1:]
    for size in (1, 2, 255, 256, 300, 65_536, 69_999, 70_000):
        path = reader.prove_consistency(Checkpoint(ORIGIN, size, tree.get_root(size)))
        assert is_consistent(size, 70_000, tree.get_root(size), reader.checkpoint.root, path)
    made.close()


@pytest.mark.parametrize("size", range(1, 34))
def test_L_each_proof_of_small_trees_holds_and_no_other(tmp_path: Path, size: int) -> None:
    """Each record of a small tree is proved, and an altered step, index or record is not."""
    reader = whole(tmp_path, size)
    root = reader.checkpoint.root
    for index in range(size):
        path = list(reader.prove(index).path)
        leaf = leaf_hash(entry(index))
        assert root_of_inclusion(leaf, index, size, path) == root
        assert root_of_inclusion(leaf_hash(b"other"), index, size, path) != root
        assert root_of_inclusion(leaf, index, size, [*path, leaf]) is None
        for other in range(size):
            if other != index:
                assert root_of_inclusion(leaf, other, size, path) != root
    tree = oracle(size)
    for old in range(1, size):
        old_root = tree.get_root(old)
        path = list(reader.prove_consistency(Checkpoint(ORIGIN, old, old_root)))
        assert not is_consistent(old, size, old_root, root, [*path, root])
        assert not is_consistent(old, size, old_root, root, path[:-1])
        wrong = Checkpoint(ORIGIN, old, leaf_hash(b"another tree"))
        assert code_of(reader.prove_consistency, wrong).code == "audit_trail_invalid"


def test_L_the_empty_tree_has_the_root_of_nothing(tmp_path: Path) -> None:
    """A trail without records has the checkpoint that RFC 6962 gives an empty tree."""
    reader = whole(tmp_path)
    assert (reader.size, reader.checkpoint.root) == (0, oracle(0).get_root())
    assert code_of(reader.prove, 0).code == "configuration_invalid"
    assert code_of(reader.record, 0).code == "configuration_invalid"


def test_L_a_trail_goes_on_where_it_ended(tmp_path: Path) -> None:
    """A trail that was closed and opened again has the tree of all its records."""
    total = 0
    for count in (1, 254, 1, 1, 700, 0, 3):
        made = filled(tmp_path, count)
        total += count
        assert made.size == total
        made.close()
    reader = TrailReader(tmp_path, made.key)
    assert reader.checkpoint.root == oracle(total).get_root()
    assert reader.check_tree() == []
    assert [reader.record(at)["n"] for at in (0, 255, 256, total - 1)] == [0, 255, 256, total - 1]


def test_L_tiles_without_a_journal_are_enough(tmp_path: Path) -> None:
    """A copy of tiles and checkpoint goes on as a trail; one whose tiles have another root does not."""
    whole(tmp_path, 700)
    for path in (tmp_path / "journal").iterdir():
        path.unlink()
    made = filled(tmp_path, 5)
    made.close()
    assert TrailReader(tmp_path, made.key).checkpoint.root == oracle(705).get_root()
    for path in (tmp_path / "journal").iterdir():
        path.unlink()
    flip(tmp_path / "tile/1/000.p/2", 3)
    assert code_of(filled, tmp_path).code == "audit_trail_invalid"


def test_L_a_tile_is_where_readers_look(tmp_path: Path) -> None:
    """Files have the names and the content of C2SP tlog-tiles."""
    reader = whole(tmp_path, 70_000)
    assert (tmp_path / "tile/0/000").stat().st_size == 8192
    assert (tmp_path / "tile/0/273.p/112").stat().st_size == 112 * 32
    assert (tmp_path / "tile/1/000").stat().st_size == 8192
    assert (tmp_path / "tile/1/001.p/17").stat().st_size == 17 * 32
    assert (tmp_path / "tile/2/000.p/1").stat().st_size == 32
    assert (tmp_path / "tile/entries/000").read_bytes()[:2] == len(entry(0)).to_bytes(2, "big")
    lines = reader.note.decode().split("\n")
    assert lines[:3] == [ORIGIN, "70000", base64.b64encode(reader.checkpoint.root).decode()]
    from rapidjws.audit.tile_files import index_path

    assert index_path(1234067) == "x001/x234/067"  # the example of the specification


def test_L_a_note_is_read_under_its_key_only(tmp_path: Path) -> None:
    """A checkpoint of another key, another name, or with a bit altered is refused."""
    reader = whole(tmp_path, 3)
    own = NoteKey(ORIGIN, signer().public, "EdDSA")
    assert NoteKey.from_text(own.text).text == own.text
    other = LocalSigner(make_key("EdDSA"))
    for key in (NoteKey(ORIGIN, other.public, "EdDSA"), NoteKey("another.example/log", own.jwk, "EdDSA")):
        assert code_of(TrailReader, tmp_path, key).code == "audit_trail_invalid"
    for bit in range(0, 8 * len(reader.note), 7):
        altered = bytearray(reader.note)
        altered[bit // 8] ^= 1 << (bit % 8)
        assert code_of(Checkpoint.opened, bytes(altered), [own]).code == "audit_trail_invalid"


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_L_any_signer_signs_checkpoints(tmp_path: Path, alg: str) -> None:
    """A signer of another algorithm, as a KMS has, signs checkpoints that its public key verifies."""
    made = TrailWriter(tmp_path, origin=ORIGIN, signer=LocalSigner(make_key(alg), alg))
    made.append([entry(0)])
    made.close()
    key = NoteKey.from_text(made.key.text)
    assert key.alg == alg
    assert TrailReader(tmp_path, key).size == 1


@pytest.mark.parametrize(
    "text",
    ["", "name", "name+00000000", "name+00000000+AQ==", "a b+00000000+AQ==", "name+00000000+!!", "n+x+AWFh"],
)
def test_L_a_text_that_is_no_key_is_refused(text: str) -> None:
    """What is no key of a note is refused, and one whose id is another key's too."""
    assert code_of(NoteKey.from_text, text).code == "configuration_invalid"
    own = NoteKey(ORIGIN, signer().public, "EdDSA").text
    name, _, rest = own.partition("+")
    assert code_of(NoteKey.from_text, f"{name}x+{rest}").code == "configuration_invalid"


SAFE = st.text(st.characters(codec="utf-8"), max_size=40)


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=0x7F), max_size=9),
        SAFE | st.none() | st.integers(-(2**53) + 1, 2**53 - 1),
    )
)
def test_L_canonical_is_that_of_another_implementation(value: dict[str, Any]) -> None:
    """Records have the octets that the package rfc8785 gives."""
    assert canonical(value) == rfc8785.dumps(value)


@given(
    st.dictionaries(st.sampled_from(FIXED), SAFE),
    SAFE | st.none(),
    SAFE | st.none(),
    st.none() | st.binary(max_size=9),
)
def test_L_a_template_makes_canonical_records(
    fixed: dict[str, str], route: str | None, request: str | None, token: bytes | None
) -> None:
    """A record out of a template is in canonical form, and has every field."""
    made = RecordTemplate(fixed).record(
        12, token=token, route=route, request=request, trace=route, claims=token
    )
    found = parsed_record(made, "record 0")
    assert rfc8785.dumps(found) == made
    assert tuple(found) == FIELDS
    assert found["route"] == route
    assert {name: found[name] for name in fixed if name != "engine"} == {
        name: value for name, value in fixed.items() if name != "engine"
    }
    assert set(EACH) < set(found)


def test_L_a_record_in_another_form_is_refused() -> None:
    """An entry that is no record, or not in canonical form, is refused by its place."""
    good = gap_record(5, 3, "storage")
    assert parsed_record(good, "x")["lost"] == 3
    for bad in (
        b"",
        b"[]",
        b"{}",
        good.replace(b":", b": ", 1),
        good[:-1],
        json.dumps({"time_us": "1"}).encode(),
    ):
        assert code_of(parsed_record, bad, "record 7").place == "record 7"


def test_L_every_flipped_bit_is_named(tmp_path: Path) -> None:
    """A bit flipped anywhere in tiles, records, checkpoint or journal is found, by the name of its file."""
    reader = whole(tmp_path, 255, 400)
    key = NoteKey(ORIGIN, signer().public, "EdDSA")
    files = [one for one in tmp_path.rglob("*") if one.is_file() and one.name != "lock"]
    chosen = random.Random(7)
    for file in files:
        for bit in chosen.sample(range(8 * file.stat().st_size), 12):
            before = file.read_bytes()
            flip(file, bit)
            name = str(file.relative_to(tmp_path))
            try:
                found = [one.place for one in TrailReader(tmp_path, key).check_tree()]
            except RapidJWSError as fault:
                found = [str(fault.place)]
            assert any(name in place for place in found), (name, bit, found)
            file.write_bytes(before)
    assert reader.check_tree() == []


def test_L_what_is_missing_cut_or_foreign_is_named(tmp_path: Path) -> None:
    """A missing tile, a cut bundle and a file that is none are named with an offset."""
    reader = whole(tmp_path / "a", 700)
    whole(tmp_path / "b", 256, 300)
    bundle = tmp_path / "a/tile/entries/000"
    octets = bundle.read_bytes()
    bundle.write_bytes(octets[:1000])
    assert next((one.code, one.place.split(":")[0]) for one in reader.check_tree()) == (
        "file_unreadable", "tile/entries/000",
    )  # fmt: skip
    bundle.write_bytes(octets)
    (tmp_path / "a/tile/x").write_bytes(b"")
    assert [(one.code, one.place) for one in reader.check_tree()] == [("file_unexpected", "tile/x:0")]
    (tmp_path / "a/tile/x").unlink()
    tile = tmp_path / "a/tile/0/001"
    hashes = tile.read_bytes()
    tile.unlink()
    assert {
        one.code
        for one in TrailReader(tmp_path / "a", NoteKey(ORIGIN, signer().public, "EdDSA")).check_tree()
    } == {"file_unreadable"}
    tile.write_bytes(hashes)


def test_L_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    """A writer begins in an empty folder, or in a trail of its own origin, and nowhere else."""
    (tmp_path / "letters.txt").write_text("dear")
    refused = code_of(filled, tmp_path)
    assert (refused.code, "letters.txt:0" in str(refused.place)) == ("audit_trail_invalid", True)
    (tmp_path / "letters.txt").unlink()
    whole(tmp_path, 3)
    other = code_of(lambda: TrailWriter(tmp_path, origin="other.example/log", signer=signer()))
    assert other.code == "audit_trail_invalid"
    assert (
        code_of(
            TrailReader, tmp_path / "none", NoteKey("x", JWK.from_json(signer().public.as_dict()), "EdDSA")
        ).code
        == "audit_trail_invalid"
    )
