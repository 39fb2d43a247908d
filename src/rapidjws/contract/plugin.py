"""``pytest --jws-partner FOLDER``: each line of a contract check is a test, for CI and junit files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rapidjws.contract.checklist import Item

_MARKER = "jws_partner: a line of the contract with a JWS partner (rapidjws)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("rapidjws")
    group.addoption("--jws-partner", metavar="FOLDER", action="append", default=[],
                    help="check the contract in this folder; repeat for several")  # fmt: skip
    group.addoption("--jws-report", action="store_true", help="write the signed report into each folder")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add one test for each line of each contract."""
    for name in config.getoption("--jws-partner"):
        items += _collect(session, Path(name), publish_it=bool(config.getoption("--jws-report")))


def _collect(session: pytest.Session, folder: Path, *, publish_it: bool) -> list[pytest.Item]:
    """Check a folder and return its lines as tests."""
    from rapidjws.contract.check import check
    from rapidjws.errors import RapidJWSError

    try:
        report = check(folder)
        if publish_it:
            from rapidjws.contract.publish import publish

            publish(folder, report)
    except RapidJWSError as refused:
        raise pytest.UsageError(f"--jws-partner {folder}: {refused}") from None
    return [
        ContractLine.from_parent(
            session, name=f"{report.partner}::{item.group}::{item.name}", line=item, folder=folder
        )
        for item in report.items
    ]


class ContractLine(pytest.Item):
    """One line of a contract as a test: fail fails, open is skipped."""

    def __init__(self, *, line: Item, folder: Path, **more: Any) -> None:
        super().__init__(**more)
        self.line = line
        self.folder = folder
        self.add_marker("jws_partner")
        self.user_properties.append(("jws_status", line.status))

    def runtest(self) -> None:
        """Turn the line's status into a test's."""
        if self.line.status == "open":
            pytest.skip(self.line.detail)
        if self.line.status == "fail":
            raise ContractBroken(f"{self.line.title}: {self.line.detail}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the line without a traceback."""
        if isinstance(excinfo.value, ContractBroken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the folder as the place."""
        return self.folder / "contract.json", None, self.name


class ContractBroken(AssertionError):
    """A line of a contract that does not hold."""
