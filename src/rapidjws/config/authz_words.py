"""What the settings of the section ``authz`` mean, in words; see ``setting_words``."""

from __future__ import annotations

from typing import Final

from rapidjws.config.words import Words

AUTHZ: Final = {
    "default": Words("what a verified token gets where no rule applies", "`deny` or `permit`"),
    "phase": Words("phase of rules without their own, and of the default", "`detect`, `warn` or `enforce`"),
    "rules": Words("a table each: see [Rules after the verdict](how-to/authorization.md)"),
    "examples": Words("requests and what they must get, for `rapidjws authz test`"),
}
AUTHZ_EXAMPLE: Final = """\
[authz]
phase = "enforce"

[[authz.rules]]
name = "tenant"
routes = ["/tenants/{tenant}"]
claim_equals = { tid = "path.tenant" }

[[authz.rules]]
name = "pay"
routes = ["/tenants/{tenant}/payments"]
scopes = ["pay"]
"""
