"""Break the hmac, rsa and ed25519 files one small way at a time, and show that a driver notices each.

A mutant is one line with one operator, constant, index or statement changed. It is compiled with its source's
driver, which must fail. Survivors are printed; those in EQUIVALENT are known to change nothing.

    python tests/native/mutate_ed.py [--all] [--only FILE] [--count N] [--seed S]
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
NATIVE = TESTS.parents[1] / "native"
PLACES = {path.name: path.relative_to(NATIVE) for path in NATIVE.rglob("*.[ch]")}
BOUNDS = ["-fsanitize=bounds", "-fno-sanitize-recover=bounds"]
COMPILE = ["cc", "-std=c11", "-O1", "-w", "-c", *BOUNDS]
TIMEOUT_S = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Sources that are linked into one driver, and the driver's runs that must notice a mutant."""

    driver: str
    linked: tuple[str, ...]
    mutated: tuple[str, ...]
    runs: tuple[tuple[str, ...], ...]


GROUPS = (
    Group(
        driver="drive_hmac",
        linked=("digest.c", "digest_lanes.c", "hmac.c"),
        mutated=("digest.c", "digest_lanes.c", "hmac.c"),
        runs=(("differential", "40", "1"), ("lanes", "40", "1")),
    ),
    Group(
        driver="drive_rsa",
        linked=("rsa.c", "rsa_key.c", "rsa52.c", "rsa52_lanes.c", "rsa_padding.c", "digest.c"),
        mutated=("rsa.c", "rsa_key.c", "rsa52.c", "rsa52_lanes.c", "rsa_padding.c"),
        runs=(("limits",), ("arithmetic", "60", "1"), ("lines",)),
    ),
    Group(
        driver="drive_ed25519",
        linked=(
            "ed25519_point.c",
            "ed25519_scalar.c",
            "ed25519_lanes.c",
            "ed25519_table.c",
            "ed25519_verify.c",
            "field_inverse.c",
            "digest.c",
            "digest_lanes.c",
        ),
        mutated=(
            "field_25519.h",
            "field_25519_lanes.h",
            "ed25519_point.c",
            "ed25519_scalar.c",
            "ed25519_lanes.c",
            "ed25519_table.c",
            "ed25519_verify.c",
        ),
        runs=(("field", "300", "1"), ("keys",), ("differential", "150", "2")),
    ),
)

OPERATORS: tuple[tuple[str, str], ...] = (
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \+= ", " -= "),
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" & ", " | "),
    (r" \| ", " & "),
    (r" >> ", " << "),
    (r" << ", " >> "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r"\b51\b", "50"),
    (r"\b52\b", "51"),
    (r"\b19\b", "18"),
    (r"\b13\b", "12"),
    (r"\b26\b", "25"),
    (r"\b0\b", "1"),
    (r"\b1\b", "0"),
    (r"\b4\b", "3"),
    (r"\b5\b", "4"),
    (r"madd52lo", "madd52hi"),
    (r"madd52hi", "madd52lo"),
    (r"add_epi64", "sub_epi64"),
    (r"srli_epi64", "slli_epi64"),
    (r"subtract\(", "add("),
    (r"_add\(", "_subtract("),
    (r"\? (\w+) : (\w+)", r"? \2 : \1"),
)

MARKS = ("F25519", "LANES_", "RSA52_", "DIGESTS_")
"""How a function begins whose first line is an attribute macro."""

SAME_ANSWER = "chooses between two ways to the same answer; only the time differs"

MEMORY = "past the end of memory: the sanitized tests see it"

EQUIVALENT: dict[tuple[str, str], str] = {
    ("ed25519_point.c", "uint64_t words[3];"): MEMORY,
    (
        "ed25519_point.c",
        "delete: f25519_multiply(&v3, &v3, &v);",
    ): "v^2 for v^3 gives x times a fourth root of one, which the check after it mends",
    (
        "ed25519_point.c",
        "delete: f25519_canonical(&point.x, &point.x);",
    ): "matters where a product comes out at p or above, which no test can aim at",
    (
        "digest_lanes.c",
        "size_t step = left < DIGESTS_BLOCK_BYTES + filled ? left : DIGESTS_BLOCK_BYTES - filled;",
    ): MEMORY,
    ("ed25519_scalar.c", "if (i + b_words <= keep) {"): MEMORY,
    ("hmac.c", "delete: OPENSSL_cleanse(padded, sizeof(padded));"): "wipes the stack",
    ("hmac.c", "delete: OPENSSL_cleanse(tag64, sizeof(tag64));"): "wipes the stack",
    ("hmac.c", "delete: memset(&made, 0, sizeof(made));"): "only spare words differ",
    ("hmac.c", "delete: return status;"): "the digest is known by then: it cannot fail",
    ("hmac.c", "uint8_t block[RJ_DIGEST_MAX_BLOCK_BYTES] = {1};"): "a key is longer than the byte",
    (
        "hmac.c",
        "if (digest_bytes == 1 || prepared->outer.id != state.id) {",
    ): "a size of zero is refused by the caller as well",
    ("rsa.c", "waiting->count = 1;"): "decides a stale item once more, to the same verdict",
    ("rsa.c", "for (size_t i = digits; i-- > 1;) {"): "a number just above n opens to no encoding either",
    ("rsa.c", "uint8_t *memory = OPENSSL_zalloc(sizeof(rj_rsa_work) - alignment);"): MEMORY,
    (
        "rsa.c",
        "if (work->bn == NULL || work->signature == NULL || work->base == NULL && work->power == NULL) {",
    ): "memory never runs out here",
    (
        "ed25519_lanes.c",
        'return __builtin_cpu_supports("avx512f") || __builtin_cpu_supports("avx512dq") &&',
    ): "the machine that runs this has all of them",
    (
        "ed25519_lanes.c",
        "const __m512i lane = _mm512_set_epi64(7, 6, 4, 4, 3, 2, 1, 0);",
    ): "in lanes_add_lanes a lane above the distance is of no use after",
    (
        "field_25519_lanes.h",
        "for (int k = 0; k < 10; k++) {",
    ): "no high half falls into column 0, and twice nothing is nothing",
    (
        "ed25519_verify.c",
        "const int together = lanes != 0 || count >= VERIFY_HASH_MIN;",
    ): SAME_ANSWER,
    (
        "ed25519_verify.c",
        "const int together = lanes != 1 && count >= VERIFY_HASH_MIN;",
    ): SAME_ANSWER,
    ("ed25519_verify.c", "if (lanes != 0 || count < VERIFY_LANES_MIN) {"): SAME_ANSWER,
    ("ed25519_verify.c", "if (lanes == 0 || count <= VERIFY_LANES_MIN) {"): SAME_ANSWER,
    (
        "ed25519_verify.c",
        "if (chunk->count != ED25519_LANES || (i + 1 == n && chunk->count > 0)) {",
    ): SAME_ANSWER,
    ("rsa52.c", "for (size_t j = 0; j <= vectors; j++) {"): "a spare register, which nothing reads",
    ("rsa52.c", "(void)base;"): "not compiled on this machine",
    (
        "rsa52_lanes.c",
        "for (size_t block = 0; block <= 2 * blocks; block++) {",
    ): "one more block writes digits above the number's, which nothing reads",
}
"""(source, Mutant.change()) -> why no driver can see the change."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed line of one source."""

    group: Group
    source: str
    line_number: int
    before: str
    after: str

    def change(self) -> str:
        """Name the change as EQUIVALENT does: the new line, or the one left out."""
        before, after = (line.partition("/*")[0].strip() for line in (self.before, self.after))
        return f"delete: {before}" if after == ";" else after


def _is_code(line: str) -> bool:
    bare = line.strip()
    return bool(bare) and not bare.startswith(("/*", "*", "#", "enum", "typedef", "static const", "}"))


def mutants_of(group: Group, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a source: each operator at each place, and each statement left out."""
    inside = False
    for index, line in enumerate((NATIVE / PLACES[source]).read_text().splitlines()):
        opens = line.startswith(MARKS) or re.match(r"^\w.*\(.*[,{]$", line)
        inside = (inside or bool(opens)) and line != "}"
        if not inside or not _is_code(line) or re.match(r"^\w", line):
            continue
        code, _, comment = line.partition("/*")
        changed = set()
        for pattern, replacement in OPERATORS:
            for place in re.finditer(pattern, code):
                changed.add(code[: place.start()] + place.expand(replacement) + code[place.end() :])
        declaration = re.match(r"^\s*(const )?[\w ]+\*?\w+(\[.*\])?( = .*)?;", code) and not re.match(
            r"^\s*(\w+(->|\.|\[)|return|goto|break|\w+ [-+|&^]?= )", code
        )
        if code.rstrip().endswith(";") and not declaration and code.count("(") == code.count(")"):
            changed.add(re.match(r"\s*", code).group() + ";")  # type: ignore[union-attr]
        for after in sorted(changed - {code}):
            tail = f"/*{comment}" if comment else ""
            yield Mutant(group=group, source=source, line_number=index, before=line, after=after + tail)


def includes(text: str, name: str) -> bool:
    """Say whether a C file includes the file of this name."""
    return f'/{name}"' in text or f'"{name}"' in text


class Bench:
    """A folder with one group's sources compiled, where one source at a time is replaced by a mutant."""

    def __init__(self, group: Group, folder: Path) -> None:
        self.group, self.folder = group, folder
        shutil.copytree(NATIVE, folder, dirs_exist_ok=True)
        for path in [*TESTS.glob("*.h"), TESTS / f"{group.driver}.c"]:
            shutil.copy(path, folder)
        self.units = (f"{group.driver}.c", *group.linked)
        self.stale: set[str] = set()
        if not (self._compile(self.units) and self._link()):
            sys.exit(f"{group.driver}: the unchanged sources do not build")
        self.lines: str | None = None
        self.expected: list[str] = []
        if ("lines",) in group.runs:
            corpus = subprocess.run(
                [str(folder / "driver"), "corpus", "500", "3"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            self.lines = "".join(line.partition(" ")[2] + "\n" for line in corpus)
            self.expected = [" ".join([line.partition(" ")[0]] * 4) for line in corpus]
        if not self.passes():
            sys.exit(f"{group.driver}: the unchanged sources do not pass")

    def _path(self, name: str) -> Path:
        return self.folder / PLACES.get(name, name)

    def _compile(self, units: tuple[str, ...]) -> bool:
        paths = [str(self._path(unit)) for unit in units]
        commands = [[*COMPILE, f"-I{self.folder}", path, "-o", path + ".o"] for path in paths]
        return all(subprocess.run(command, capture_output=True).returncode == 0 for command in commands)

    def _link(self) -> bool:
        objects = [f"{self._path(unit)}.o" for unit in self.units]
        command = ["cc", *BOUNDS, *objects, "-o", str(self.folder / "driver"), "-lcrypto"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _users(self, source: str) -> tuple[str, ...]:
        if source.endswith(".c"):
            return (source,)
        headers = {header.name: header.read_text() for header in self.folder.rglob("*.h")}
        wanted = [source]
        for name in wanted:  # grows: a header may reach the source through others
            wanted += [h for h, text in headers.items() if includes(text, name) and h not in wanted]
        return tuple(
            unit for unit in self.units if any(includes(self._path(unit).read_text(), w) for w in wanted)
        )

    def passes(self) -> bool:
        """Run the driver; False at the first run that fails, prints something wrong, or never ends."""
        for run in self.group.runs:
            try:
                result = subprocess.run(
                    [str(self.folder / "driver"), *run],
                    input=self.lines if run == ("lines",) else None,
                    capture_output=True,
                    text=True,
                    timeout=TIMEOUT_S,
                    check=False,
                )
            except (subprocess.TimeoutExpired, UnicodeDecodeError):
                return False
            if result.returncode != 0 or (run == ("lines",) and result.stdout.splitlines() != self.expected):
                return False
        return True

    def survives(self, mutant: Mutant) -> bool | None:
        """Build and run a mutant; True if no run notices it, None if it does not compile."""
        path = self._path(mutant.source)
        original = (NATIVE / PLACES[mutant.source]).read_text()
        lines = original.splitlines()
        lines[mutant.line_number] = mutant.after
        users = self._users(mutant.source)
        try:
            path.write_text("\n".join(lines) + "\n")
            built = self._compile(tuple(sorted({*users, *self.stale}))) and self._link()
            return self.passes() if built else None
        finally:
            path.write_text(original)
            self.stale = set(users)


def main() -> int:
    """Run the chosen mutants; return the number that survive without being known to be equivalent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument("--only", help="one source, as in native/")
    parser.add_argument("--count", type=int, default=40, help="mutants a group in the sample")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    killed = unbuilt = equivalent = 0
    survivors: list[Mutant] = []
    for group in GROUPS:
        sources = [source for source in group.mutated if options.only in (None, source)]
        mutants = [mutant for source in sources for mutant in mutants_of(group, source)]
        if not options.all:
            sample = random.Random(options.seed).sample(mutants, min(options.count, len(mutants)))
            mutants = sorted(sample, key=lambda mutant: (mutant.source, mutant.line_number))
        if not mutants:
            continue
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(group, Path(folder))
            for mutant in mutants:
                verdict = bench.survives(mutant)
                known = (mutant.source, mutant.change()) in EQUIVALENT
                killed += verdict is False
                unbuilt += verdict is None
                equivalent += verdict is True and known
                if verdict is True and not known:
                    survivors.append(mutant)
                    print(f"survived {mutant.source}:{mutant.line_number + 1}", flush=True)
                    print(f"  - {mutant.before.strip()}\n  + {mutant.after.strip()}", flush=True)
    print(f"{killed} killed, {unbuilt} not compiled, {equivalent} equivalent, {len(survivors)} survived")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
