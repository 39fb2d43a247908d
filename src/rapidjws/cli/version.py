"""``rapidjws version``: this package and the libcrypto in use."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rapidjws._version import __version__
from rapidjws.verify.backends import backends


def version() -> None:
    """Show the version, the libcrypto in use, and which library verifies which algorithm."""
    found = backends()
    console = Console()
    origin = "built in" if found.libcrypto_is_ours else "the system's"
    console.print(f"rapidjws {__version__}")
    console.print(f"libcrypto: {found.libcrypto} ({origin})", highlight=False)
    table = Table("backend", "algorithms", box=None)
    for backend in ("libcrypto", "pyca", "none"):
        names = [name for name, used in found.algorithms.items() if used == backend]
        if names:
            table.add_row(backend, " ".join(names))
    console.print(table)
