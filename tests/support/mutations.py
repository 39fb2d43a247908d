"""Change tokens in every way a stranger might, seeded; a change that changes nothing is not given.

Each function takes a source of chance, a token and a pool of good tokens, and returns other bytes or None.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from tokens import b64url, b64url_decode

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STRANGE = b"=+/ \t\r\n\0.%~,:;\x80\xff"
ALGS = (
    "none",
    "None",
    "HS256",
    "HS512",
    "RS256",
    "PS256",
    "ES256",
    "ES384",
    "ES256K",
    "EdDSA",
    "Ed25519",
    "",
)
Mutation = Callable[[random.Random, bytes, list[bytes]], "bytes | None"]


def flip_bit(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Flip one bit of one character."""
    at = chance.randrange(len(token))
    return token[:at] + bytes([token[at] ^ 1 << chance.randrange(8)]) + token[at + 1 :]


def replace_character(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Put another character of the alphabet in one place: the part still decodes."""
    at = chance.randrange(len(token))
    return token[:at] + bytes([chance.choice(ALPHABET)]) + token[at + 1 :]


def flip_decoded_bit(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Flip one bit of the decoded octets of one part: the token stays well formed."""
    parts = token.decode().split(".")
    which = chance.randrange(3)
    octets = bytearray(b64url_decode(parts[which]))
    octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    parts[which] = b64url(bytes(octets))
    return ".".join(parts).encode()


def insert(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Insert one character, a strange one in half of the cases."""
    at = chance.randrange(len(token) + 1)
    return token[:at] + bytes([chance.choice(STRANGE if chance.random() < 0.5 else ALPHABET)]) + token[at:]


def delete(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Leave out one character."""
    at = chance.randrange(len(token))
    return token[:at] + token[at + 1 :]


def swap(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Exchange two characters."""
    changed = bytearray(token)
    one, other = chance.randrange(len(token)), chance.randrange(len(token))
    changed[one], changed[other] = changed[other], changed[one]
    return bytes(changed)


def truncate(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Cut the token off somewhere."""
    return token[: chance.randrange(len(token))]


def cross(chance: random.Random, token: bytes, pool: list[bytes]) -> bytes:
    """Take each part from another good token."""
    chosen = [chance.choice(pool).split(b".") for _ in range(3)]
    parts = token.split(b".")
    which = chance.randrange(3)
    return b".".join(chosen[i][i] if i == which or chance.random() < 0.3 else parts[i] for i in range(3))


def rewrite_header(chance: random.Random, token: bytes, pool: list[bytes]) -> bytes | None:
    """Change alg, kid or more in the header and keep the signature."""
    text, _, rest = token.partition(b".")
    header = json.loads(b64url_decode(text.decode()))
    other = json.loads(b64url_decode(chance.choice(pool).split(b".")[0].decode()))
    kind = chance.randrange(7)
    if kind == 0:
        header["alg"] = chance.choice(ALGS)
    elif kind == 1:
        header["kid"] = other["kid"]
    elif kind == 2:
        header = {**other, "alg": header["alg"]}
    elif kind == 3:
        header.pop("kid")
    elif kind == 4:
        header[chance.choice(("crit", "b64", "typ", "jku", "x5u", "zip"))] = chance.choice(
            (False, ["b64"], ["exp"], "JWT", 1, None)
        )
    elif kind == 5:
        header = dict(reversed(header.items()))
    else:
        spaced = json.dumps(header, separators=chance.choice(((", ", ": "), (",", " :"))))
        return b64url(spaced.encode()).encode() + b"." + rest
    return b64url(json.dumps(header, separators=(",", ":")).encode()).encode() + b"." + rest


def rewrite_payload(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Change a claim and keep the signature."""
    header, payload, signature = token.split(b".")
    claims = json.loads(b64url_decode(payload.decode()))
    name = chance.choice(("sub", "exp", "iss", "admin", "aud"))
    claims[name] = chance.choice(("root", 4_000_000_000, True, chance.random()))
    return header + b"." + b64url(json.dumps(claims).encode()).encode() + b"." + signature


def respell(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Spell one part another way: padding, white space, the other alphabet, leftover bits, another case."""
    parts = token.split(b".")
    which = chance.randrange(3)
    part = parts[which]
    kind = chance.randrange(6)
    if kind == 0:
        part += b"=" * chance.randint(1, 3)
    elif kind == 1:
        part = chance.choice((b" ", b"\n", b"\r\n", b"\t")) + part
    elif kind == 2:
        part = part.replace(b"-", b"+").replace(b"_", b"/")
    elif kind == 3:
        part = part[:-1] + bytes([chance.choice(ALPHABET)])
    elif kind == 4:
        at = chance.randrange(len(part))
        part = part[:at] + part[at : at + 1].swapcase() + part[at + 1 :]
    else:
        part = part.swapcase()
    parts[which] = part
    return b".".join(parts)


def change_signature(chance: random.Random, token: bytes, _: list[bytes]) -> bytes:
    """Give the signature another length or shape: cut, grown, zeros, halves exchanged."""
    front, _, text = token.rpartition(b".")
    octets = b64url_decode(text.decode())
    half = len(octets) // 2
    shapes = (
        octets[: chance.randrange(len(octets))],
        octets + bytes([chance.randrange(256)]),
        bytes(len(octets)),
        b"\xff" * len(octets),
        octets[half:] + octets[:half],
        b"\0" + octets,
        octets[:half] + bytes(len(octets) - half),
        bytes(chance.randrange(256) for _ in octets),
    )
    return front + b"." + b64url(chance.choice(shapes)).encode()


EVERY: tuple[Mutation, ...] = (
    flip_bit,
    replace_character,
    flip_decoded_bit,
    insert,
    delete,
    swap,
    truncate,
    cross,
    rewrite_header,
    rewrite_payload,
    respell,
    change_signature,
)


def mutate(seed: int, pool: list[bytes], count: int) -> Iterator[bytes]:
    """Yield so many changed tokens, all kinds in turn, none of them in the pool."""
    chance = random.Random(seed)
    good = set(pool)
    made = 0
    while made < count:
        changed = EVERY[made % len(EVERY)](chance, chance.choice(pool), pool)
        while changed is None or changed in good:
            changed = chance.choice(EVERY)(chance, chance.choice(pool), pool)
        yield changed
        made += 1
