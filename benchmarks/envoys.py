"""Envoy for the gateway benchmarks: our example with the API inside, and with its own verifier.

Where Envoy answers by itself, its core has nothing else to do than to ask: so one sees what asking costs.
"""

from __future__ import annotations

import json
from pathlib import Path

from gateway import ENVOY, HERE, Gateway

ROUTE = "route: { cluster: service }"
ANSWER = "direct_response: { status: 200 }"


def _kept(folder: Path, name: str, text: str) -> Gateway:
    if ROUTE not in text:
        raise AssertionError(name)
    path = folder / f"{name}.yaml"
    path.write_text(text.replace(ROUTE, ANSWER))
    return Gateway("envoy", (str(path),), ("-c", path.name, *ENVOY))


def answering(example: str, folder: Path) -> Gateway:
    """Return an example's Envoy that answers by itself."""
    return _kept(folder, f"{example}-answering", (HERE / "envoy" / f"{example}.yaml").read_text())


def jwt_authn(jwks: str, iss: str, audience: str, folder: Path) -> Gateway:
    """Return Envoy with jwt_authn on the same route, in the place of ext_authz; it answers by itself."""
    text = (HERE / "envoy" / "envoy-http.yaml").read_text()
    start = text.index("                  - name: envoy.filters.http.ext_authz")
    end = text.index("                  - name: envoy.filters.http.router")
    provider = {
        "issuer": iss,
        "audiences": [audience],
        "local_jwks": {"inline_string": jwks},
        "claim_to_headers": [
            {"header_name": "x-jws-subject", "claim_name": "sub"},
            {"header_name": "x-jws-scope", "claim_name": "scope"},
        ],
    }
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"p": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
    }
    one = json.dumps({"name": "envoy.filters.http.jwt_authn", "typed_config": typed})
    return _kept(folder, "envoy-jwt", f"{text[:start]}                  - {one}\n{text[end:]}")
