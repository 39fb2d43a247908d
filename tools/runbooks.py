"""Write docs/operations/runbooks from the runbooks of the package.

Run without arguments to write the pages, with ``--check`` to fail where one is not current.
"""

from __future__ import annotations

from pathlib import Path

from generated import write_or_check

from rapidjws.observe.runbooks import runbook, runbook_names

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "operations" / "runbooks"
HEAD = """# Runbooks

What to do when an alert fires. `rapidjws runbook NAME` prints the same on the machine itself. A test runs
every command against a service with that fault, and looks that the fault ends. A comment behind a command
says which exit status or output to expect.

| runbook | symptoms |
| --- | --- |
"""


def pages() -> dict[Path, str]:
    """Return what each page must hold."""
    found = {FOLDER / f"{name}.md": runbook(name).text for name in runbook_names()}
    rows = ""
    for name in runbook_names():
        one = runbook(name)
        symptoms = one.sections["Symptoms"].replace("\n", " ").replace("|", "\\|")
        rows += f"| [{one.title}]({name}.md) | {symptoms} |\n"
    return {**found, FOLDER / "index.md": HEAD + rows}


def main() -> int:
    """Write the pages, or check them; return the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    statuses = [write_or_check(path, text) for path, text in pages().items()]
    extra = [path.name for path in FOLDER.glob("*.md") if path not in pages()]
    return int(any(statuses) or bool(extra))


if __name__ == "__main__":
    raise SystemExit(main())
