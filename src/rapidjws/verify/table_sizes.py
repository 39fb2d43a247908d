"""Sizes of precomputed tables: which keys get which, where not all have room for the largest.

A small table already saves most of a verification, a larger one a little more of it for much more memory.
So memory goes where a byte saves most: a small table for each key in use, then larger ones for the busiest.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from rapidjws import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Key = TypeVar("Key")

LARGEST: Final = 0
"""The size that is built where there is room."""

SAVED_SHARES: Final = (0.04, 0.13, 0.44)
"""Of libcrypto's time for a signature, what each size saves beyond the next smaller one (ES256, plain C)."""


@cache
def table_bytes(alg: int) -> tuple[int, ...]:
    """Return the memory of a key's table by its size, the largest first; empty where there are none."""
    sizes = [_native.precomputed_bytes(alg, size) for size in range(_native.PRECOMPUTED_SIZES)]
    return tuple(dict.fromkeys(size for size in sizes if size))


def plan_sizes(
    uses: Mapping[Key, int],
    held: Mapping[Key, int],
    bytes_of: Callable[[Key], tuple[int, ...]],
    budget_bytes: int,
    threshold: int,
) -> dict[Key, int]:
    """Say which size of table each key shall have.

    What a key has weighs twice its use and the threshold more, so that keys used alike never take memory from
    each other.

    Args:
        uses: How often each key accepted lately; where two are worth the same, the first is served first.
        held: The size of the table that a key has now.
        bytes_of: The memory of a key's table by its size, the largest first.
        budget_bytes: Memory for all tables.
        threshold: Acceptances after which a key is due for a table.

    Returns:
        The size of each key that shall have a table.
    """
    steps: list[tuple[float, int, Key, int, int]] = []  # less worth, order, key, size, bytes more than before
    for key, used in uses.items():
        sizes, smaller_bytes, saved = bytes_of(key), 0, 0.0
        for size in reversed(range(len(sizes))):
            is_held = key in held and size >= held[key]
            weight = 2 * used + threshold if is_held else used
            saved = SAVED_SHARES[size] if len(sizes) > 1 else sum(SAVED_SHARES)
            more_bytes, smaller_bytes = sizes[size] - smaller_bytes, sizes[size]
            steps.append((-weight * saved / more_bytes, len(steps), key, size, more_bytes))
    steps.sort(key=lambda step: step[:2])
    planned: dict[Key, int] = {}
    for _, _, key, size, more_bytes in steps:
        is_next = planned.get(key, len(bytes_of(key))) == size + 1
        if is_next and more_bytes <= budget_bytes:
            planned[key] = size
            budget_bytes -= more_bytes
    return planned
