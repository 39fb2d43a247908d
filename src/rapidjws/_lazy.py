"""Names of a package that load their home on first use (PEP 562). Knows no name of this package itself."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    Two threads that ask at once get the same object: the import system lets one of them run the home.

    Args:
        package: Its ``__name__``.
        homes: Module -> the names it gives. The package's own sub-packages among them are found as well.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    packages = {home.removeprefix(package + ".").partition(".")[0] for home in homes}

    def getattr_(name: str) -> Any:
        module = sys.modules[package]
        if name in home_of:
            home = home_of[name]
            __import__(home)
            value = getattr(sys.modules[home], name)
        elif name in packages:
            __import__(f"{package}.{name}")
            value = sys.modules[f"{package}.{name}"]
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        setattr(module, name, value)  # from now on found without coming here
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of, *packages})

    return getattr_, dir_


def lazy_value(module: str, name: str) -> Any:
    """Return what a module gives under a name, loaded now: a constructor of a higher layer."""
    __import__(module)
    return getattr(sys.modules[module], name)
