"""The FastAPI dependency: OpenAPI, typed claims, scopes of a route, and handlers of the application's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from served import ask, uvicorn
from verdicts import bearer, engine, token

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install --group middleware")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install --group middleware")

from fastapi import Body, Depends, FastAPI, Header, Request, Response, Security
from pydantic import BaseModel

import rapidjws
from rapidjws.middleware import SignedBody, TokenLocation
from rapidjws.middleware.fastapi import JWSRefused, JWSSecurity
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")


class Caller(BaseModel):
    """What an application makes of claims."""

    sub: str
    level: int = 0


@dataclass
class Plain:
    """The same without pydantic."""

    sub: str


def app_of(jws: JWSSecurity[Any], *scopes: str) -> FastAPI:
    """Return an application with one route behind the dependency."""
    app = FastAPI()

    async def who(caller: Any, x_jws_subject: Any) -> Any:
        return {"is": type(caller).__name__, "sub": getattr(caller, "sub", None), "reported": x_jws_subject}

    who.__annotations__ = {
        "caller": Annotated[Any, Security(jws, scopes=scopes)],
        "x_jws_subject": Annotated[str, Header()],
    }
    app.add_api_route("/who", who)
    return app


@pytest.mark.parametrize("kind", [Caller, Plain])
def test_claims_are_a_typed_value(kind: Any) -> None:
    """A handler gets the claims as the type that was asked for, and the trusted headers as parameters."""
    with uvicorn(app_of(JWSSecurity(kind, engine=engine()))) as port:
        reply = ask(port, "/who", [*bearer(token(sub="ann")), ("X-JWS-Subject", "admin")])
    assert reply.json == {"is": kind.__name__, "sub": "ann", "reported": "ann"}


@pytest.mark.parametrize(
    ("phase", "status", "kind"), [("enforcement", 401, None), ("detection", 200, "NoneType")]
)
def test_claims_of_another_shape_are_refused_where_tokens_are(
    phase: str, status: int, kind: str | None
) -> None:
    """Claims that do not fit the type are a malformed claim where enforced, and no claims before."""
    with uvicorn(app_of(JWSSecurity(Caller, engine=engine(phase)))) as port:
        reply = ask(port, "/who", bearer(token(level="high")))
    assert reply.status == status
    assert (reply.json.get("code"), reply.json.get("is")) == (
        "malformed_claim" if kind is None else None,
        kind,
    )


def test_scopes_of_a_route_are_due() -> None:
    """A route that names scopes refuses a good token without them, and says all of them."""
    with uvicorn(app_of(JWSSecurity(Caller, engine=engine()), "read", "pay")) as port:
        reply = ask(port, "/who", bearer(token(scope="read")))
        assert ask(port, "/who", bearer(token(scope="pay read"))).status == 200
    assert (reply.status, reply.json["code"]) == (403, "insufficient_scope")
    assert reply.headers["www-authenticate"].endswith(', scope="read pay"')


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (TokenLocation(), {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
        (TokenLocation(cookie="session"), {"type": "apiKey", "in": "cookie", "name": "session"}),
        (TokenLocation(header="X-Token", scheme=""), {"type": "apiKey", "in": "header", "name": "X-Token"}),
    ],
    ids=["bearer", "cookie", "header"],
)
def test_openapi_shows_the_scheme(place: TokenLocation, expected: dict[str, str]) -> None:
    """The OpenAPI document names the scheme, where its token stands, and the scopes of each route."""
    jws = JWSSecurity(Caller, engine=engine(), place=place, scheme_name="Partner")
    document = app_of(jws, "pay").openapi()
    assert document["components"]["securitySchemes"] == {"Partner": expected}
    assert document["paths"]["/who"]["get"]["security"] == [{"Partner": ["pay"]}]


ORDER = b'{"sub": "ann", "level": 3}'


def signed_authenticator(**options: Any) -> JWSSecurity[Any]:
    """Return a dependency that gives the signed payload of a body."""
    verifier = rapidjws.Verifier(KEY.public(), algorithms=["ES256"])
    return JWSSecurity(Caller, body=SignedBody(verifier=verifier, max_bytes=64, **options))


def test_signed_body_is_a_typed_value_beside_a_body_parameter() -> None:
    """A route gets the verified payload as its type, though FastAPI read the body before."""
    app = FastAPI()

    async def put(caller: Any, sent: Any) -> Any:
        return [caller.level, sent]

    put.__annotations__ = {
        "caller": Annotated[Any, Depends(signed_authenticator())],
        "sent": Annotated[Any, Body()],
    }
    app.add_api_route("/who", put, methods=["POST"])
    long = ORDER.ljust(65)
    with uvicorn(app) as port:

        def status(body: bytes, signature: str) -> Any:
            headers = [("Content-Type", "application/json"), ("X-JWS-Signature", signature)]
            return ask(port, "/who", headers, body, method="POST")

        good = sign_compact(ORDER, LocalSigner(KEY), detached=True)
        assert status(ORDER, good).json == [3, json.loads(ORDER)]
        assert status(ORDER + b" ", good).json["code"] == "signature_invalid"
        assert status(long, sign_compact(long, LocalSigner(KEY), detached=True)).status == 413
        other = b'{"level": 3}'
        reply = status(other, sign_compact(other, LocalSigner(KEY), detached=True))
        assert (reply.status, reply.json["code"]) == (401, "malformed_claim")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("X-Signature", {"type": "apiKey", "in": "header", "name": "X-Signature"}),
        (None, {"type": "http", "scheme": "JWS", "description": "The body is a JWS."}),
    ],
)
def test_openapi_shows_signed_bodies(header: str | None, expected: dict[str, str]) -> None:
    """The OpenAPI document names the header of the signature, or says that the body is one."""
    document = app_of(signed_authenticator(signature_header=header)).openapi()
    assert document["components"]["securitySchemes"] == {"JWS": expected}


def test_handler_of_the_application_comes_first() -> None:
    """An application that answers refusals in its own way is left to it."""
    app = app_of(JWSSecurity(Caller, engine=engine()))

    async def mine(_: Request, refused: Exception) -> Response:
        assert isinstance(refused, JWSRefused)
        return Response(b"mine", refused.answer.status)

    app.add_exception_handler(JWSRefused, mine)
    with uvicorn(app) as port:
        reply = ask(port, "/who", [])
    assert (reply.status, reply.body) == (401, b"mine")


def test_a_dependency_on_the_dependency_gets_the_same_claims() -> None:
    """Two uses in one request verify once and agree."""
    jws = JWSSecurity(Caller, engine=engine())
    app = FastAPI()

    async def name(caller: Any) -> Any:
        return caller.sub

    async def who(named: Any, caller: Any) -> Any:
        return [named, caller.sub]

    name.__annotations__ = {"caller": Annotated[Any, Depends(jws)]}
    who.__annotations__ = {"named": Annotated[Any, Depends(name)], "caller": Annotated[Any, Depends(jws)]}
    app.add_api_route("/who", who)
    with uvicorn(app) as port:
        assert ask(port, "/who", bearer(token(sub="ann"))).json == ["ann", "ann"]
