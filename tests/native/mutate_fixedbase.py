"""Break single lines of the ECDSA arithmetic and show that the drivers notice each time.

Usage: python tests/native/mutate_fixedbase.py [--each N] [--seed S] [--only FILE] [--skip FILES]

Each mutant is a copy of native/ with one line changed by one small textual operator (a sign, a shift, a
comparison, a dropped statement). The sources it touches are compiled again and the drivers run, and run again
under sanitizers if they pass. A mutant that passes both is printed and makes the exit status 1, unless
EQUIVALENT says why it cannot be told apart.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fixedbase_drivers import SOURCES, compile_object, link, source_object
from native_drivers import DRIVERS, NATIVE, native_file

LIMIT_S = 120
OPERATORS = (
    (r" \+= ", " -= "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" << ", " >> "),
    (r" >> ", " << "),
    (r" < ", " <= "),
    (r" & ", " | "),
    (r" \^ ", " | "),
    (r" == ", " != "),
    (r"\bcarry\b(?= *[;)])", "0"),
    (r"_add_epi64\(", "_sub_epi64("),
    (r"_sub_epi64\(", "_add_epi64("),
    (r"madd52lo", "madd52hi"),
    (r"srai_epi64", "srli_epi64"),
    (r"\bi\] = ", "0] = "),
    (r"if \(!", "if ("),
    (r"^(\s+)(?!return|break|continue|case|else|for|if|uint|int|unsigned|size_t)([a-z(].*;)$", r"\1;"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A file to break, the sources to compile again, and what must notice."""

    file: str
    sources: tuple[str, ...]
    edges: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    builds: tuple[str, ...] = ("quick", "sanitized")
    elsewhere: bool = False  # judge what is behind #else, instead of the rest


def plain(file: str, curve: str, number: str) -> Target:
    """Describe a file of one plain engine, which also fills the tables of the vector engine."""
    edges = ((number, "1"), (number, "0"))
    return Target(file=file, sources=(f"fixedbase_{curve}",), edges=edges, fields=(f"field_{curve}",))


def lanes(file: str, curve: str, number: str) -> Target:
    """Describe a file of one vector engine."""
    source = f"fixedbase_lanes_{curve}"
    return Target(file=file, sources=(source,), edges=((number, "0"),), fields=(f"lanes_{curve}",))


TARGETS = (
    plain("field_p256.h", "p256", "0"),
    plain("field_residue.h", "p256", "0"),
    plain("field_p521.h", "p521", "2"),
    plain("field_k256.h", "k256", "3"),
    plain("field_words.h", "p384", "1"),
    Target(
        file="field_words.h",
        sources=("fixedbase_p384",),
        edges=(("1", "1"),),
        fields=("field_p384",),
        builds=("portable",),
        elsewhere=True,
    ),
    plain("fixedbase_fill.h", "p256", "0"),
    plain("fixedbase_sum.h", "p256", "0"),
    lanes("field_lanes.h", "p256", "0"),
    lanes("fixedbase_lanes.h", "p256", "0"),
    lanes("fixedbase_lanes_one.h", "p256", "0"),
    lanes("fixedbase_lanes_p256.c", "p256", "0"),
    lanes("fixedbase_lanes_p384.c", "p384", "1"),
    lanes("fixedbase_lanes_p521.c", "p521", "2"),
    lanes("fixedbase_lanes_k256.c", "k256", "3"),
    Target(
        file="field_inverse.c",
        sources=("field_inverse",),
        edges=(("0", "1"), ("2", "1")),
        fields=("field_p521",),
    ),
    Target(file="fixedbase_scalar.c", sources=("fixedbase_scalar",), edges=(("0", "1"), ("2", "1"))),
    Target(
        file="fixedbase_verify.c", sources=("fixedbase_verify",), edges=(("0", "1"), ("0", "0"), ("3", "1"))
    ),
)

# (file, the line, the changed line) -> why no input tells them apart
EQUIVALENT = {
    (
        "fixedbase_lanes_p384.c",
        "t[1] = _mm512_add_epi64(t[1], _mm512_srai_epi64(t[0], 52));",
        "t[1] = _mm512_add_epi64(t[1], _mm512_srli_epi64(t[0], 52));",
    ): "the columns of this curve only grow, so no sign is shifted in",
    (
        "fixedbase_lanes_p521.c",
        "t[1] = _mm512_add_epi64(t[1], _mm512_srai_epi64(t[0], 52));",
        "t[1] = _mm512_add_epi64(t[1], _mm512_srli_epi64(t[0], 52));",
    ): "the columns of this curve only grow, so no sign is shifted in",
    (
        "field_inverse.c",
        "w = f * g * (f * f - 2);",
        ";",
    ): "any multiple of f may be added to g: only the number of steps changes",
}


def mutants(text: str, *, elsewhere: bool) -> Iterator[tuple[int, str]]:
    """Yield every (line number, changed line) of the code of a file."""
    comment = behind_else = False
    for number, line in enumerate(text.splitlines()):
        opens = comment or line.lstrip().startswith("/*")
        comment = opens and "*/" not in line
        behind_else = line.startswith("#else") or (behind_else and not line.startswith("#endif"))
        if opens or line.startswith(("#", "typedef", "extern")) or behind_else != elsewhere:
            continue
        code, mark, note = line.partition("/*")
        for pattern, replacement in OPERATORS:
            changed = re.sub(pattern, replacement, code.rstrip(), count=1)
            if changed != code.rstrip() and "prefetch" not in code:
                yield number, changed + (" " + mark + note if mark else "")


def programs(target: Target, copy: Path, folder: Path, build: str) -> list[list[str]] | None:
    """Compile a mutant's sources and drivers; give the commands to run, None where the compiler refuses."""
    objects = {source: source_object(source, build) for source in SOURCES}
    for source in target.sources:
        objects[source] = folder / f"{source}.o"
        if not compile_object(
            copy / "ec" / f"{source}.c", objects[source], build, includes=copy, warnings=False
        ):
            return None
    commands = []
    for field in target.fields:
        kind, curve = field.split("_")
        included = f"fixedbase_{curve}" if kind == "field" else f"fixedbase_lanes_{curve}"
        made = folder / f"drive_{field}.o"
        if not compile_object(DRIVERS / f"drive_{field}.c", made, build, includes=copy, warnings=False):
            return None
        rest = [objects[source] for source in SOURCES if source != included]
        commands.append([str(link(folder / field, [made, *rest], build)), "3000", "1"])
    made = folder.parent / f"drive_fixedbase-{build}.o"
    if not made.exists():
        assert compile_object(DRIVERS / "drive_fixedbase.c", made, build)
    program = str(link(folder / "drive", [made, *objects.values()], build))
    commands.extend([program, "edges", curve, flags, "7"] for curve, flags in target.edges)
    return [*commands, [program, "refusals"]]


def notices(command: list[str]) -> bool:
    """Say whether a driver stops with a fault, or not at all."""
    try:
        return subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def judge(target: Target, number: int, changed: str, folder: Path) -> str:
    """Give the fate of one mutant: noticed, equivalent, survived, or not compiled."""
    copy = folder / "native"
    shutil.copytree(NATIVE, copy)
    lines = native_file(target.file).read_text().splitlines()
    original, lines[number] = lines[number], changed
    (copy / "ec" / target.file).write_text("\n".join(lines) + "\n")
    for build in target.builds:
        commands = programs(target, copy, folder, build)
        if commands is None:
            return "not compiled"
        if any(notices(command) for command in commands):
            return "noticed"
    known = (target.file, original.strip(), changed.strip()) in EQUIVALENT
    return "equivalent" if known else "survived"


def main() -> int:
    """Run the sample and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=6, help="mutants that compile, a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the files' names")
    parser.add_argument("--skip", type=int, default=0, help="files already judged")
    options = parser.parse_args()
    fates = {"noticed": 0, "equivalent": 0, "survived": 0, "not compiled": 0}
    with tempfile.TemporaryDirectory(prefix="mutants-") as root:
        for target in (t for t in TARGETS[options.skip :] if options.only in t.file):
            found = list(mutants(native_file(target.file).read_text(), elsewhere=target.elsewhere))
            random.Random(options.seed).shuffle(found)
            tried = 0
            for index, (number, changed) in enumerate(found):
                if tried == options.each:
                    break
                folder = Path(root) / f"{target.file}-{index}"
                fate = judge(target, number, changed, folder)
                fates[fate] += 1
                tried += fate != "not compiled"
                shutil.rmtree(folder, ignore_errors=True)
                if fate == "survived":
                    print(f"survived: {target.file}:{number + 1}: {changed.strip()}", flush=True)
            print(f"{target.file}: {tried} of {len(found)} mutants judged", flush=True)
    print(", ".join(f"{count} {fate}" for fate, count in fates.items()))
    return 1 if fates["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
