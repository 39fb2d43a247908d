"""Write docs/troubleshooting.md from the two tables: what the engine refuses, and which mistakes make it so.

Run without arguments to write the page, with ``--check`` to fail where it is not current.
"""

from __future__ import annotations

from pathlib import Path

from generated import write_or_check

from rapidjws.diagnose.causes import CAUSES
from rapidjws.errors import CODES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"
WHO = {
    "partner": "the partner",
    "client": "whoever sends the token",
    "operator": "us",
    "security": "security",
}
HEAD = """# Troubleshooting

Made by `tools/troubleshooting.py` from the tables in the code; do not edit it here.

## First: ask for the cause

```sh
rapidjws diagnose TOKEN --jwks JWKS --issuer ISS --audience AUD      # every check, the cause, the fix
rapidjws diagnose TOKEN --jwks JWKS --format markdown                # the same, to paste into a ticket
rapidjws diagnose key --kid KID --jwks IN_USE --fresh JWKS_URL       # is the key there? is the cache stale?
rapidjws diff TOKEN BODY                                             # is the body what was signed?
rapidjws openssl TOKEN --jwks JWKS -o DIR && sh DIR/verify.sh        # the same verdict by openssl alone
```

In Python: `rapidjws.diagnose(token, engine)`. It never raises, its verdict is the engine's, and nothing of
the token that could be used again is shown. JWKS is a file or an address.

![A report on a terminal](diagnose-terminal.png)

## When a partner's clock is off

Measure first, widen for a while, and let it end by itself:

```sh
rapidjws diagnose TOKEN --jwks JWKS --issuer ISS --leeway 300        # would 300 seconds do?
rapidjws contract leeway PARTNER_FOLDER 300 --hours 24               # this partner only, for a day
```

In the service itself the setting is `Issuer(..., leeway_s=300)`, for the one issuer.

## Getting a partner ready

```sh
rapidjws contract init PARTNER --their-iss ISS --jwks-url URL        # the folder, with our test keys
rapidjws contract send PARTNER                                       # samples, good and deliberately bad
rapidjws contract check PARTNER                                      # both directions, keys, checklist
pytest --jws-partner PARTNER                                         # the same in CI, one test a line
```

![A contract summary on a terminal](contract-terminal.png)

![A contract report in a browser](contract-report.png)
"""


def page() -> str:
    """Return the whole page."""
    lines = [HEAD, "## Codes", "", "What the engine says, in the order of its table.", ""]
    for code in CODES.values():
        act = "deny" if code.outcome == "deny" else "indeterminate: answer 503, not 401"
        lines += [
            f"### `{code.code}`",
            "",
            f"{code.meaning[:1].upper()}{code.meaning[1:]}.",
            "",
            f"- Cause: {code.cause}",
            f"- See it: `rapidjws diagnose TOKEN --jwks JWKS`; outcome {act}; reason `{code.reason}`.",
            f"- Fix: {code.fix}",
            f"- Escalate: {'at once' if code.escalate else 'if it comes again after the fix'}.",
            "",
        ]
    lines += ["## Causes", "", "What `diagnose` names, and who must act.", ""]
    lines += ["| cause | what happened | fix | who |", "| --- | --- | --- | --- |"]
    lines += [f"| `{row.id}` | {row.title} | {row.fix} | {WHO[row.escalate]} |" for row in CAUSES.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(write_or_check(PAGE, page()))
