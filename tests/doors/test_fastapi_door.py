"""The FastAPI dependency: OpenAPI, typed claims, scopes of a route, and handlers of the application's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from served import ask, uvicorn
from verdicts import bearer, engine, token

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install --group doors")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install --group doors")

from fastapi import Depends, FastAPI, Header, Request, Response, Security
from pydantic import BaseModel

from rapidjws.gateway import TokenPlace
from rapidjws.gateway.fastapi import JWSRefused, JWSSecurity


class Caller(BaseModel):
    """Be what an application makes of claims."""

    sub: str
    level: int = 0


@dataclass
class Plain:
    """Be the same without pydantic."""

    sub: str


def app_of(jws: JWSSecurity[Any], *scopes: str) -> FastAPI:
    """Return an application with one route behind the dependency."""
    app = FastAPI()

    async def who(caller: Any, x_jws_subject: Any) -> Any:
        return {"is": type(caller).__name__, "sub": getattr(caller, "sub", None), "told": x_jws_subject}

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
    assert reply.json == {"is": kind.__name__, "sub": "ann", "told": "ann"}


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
        (TokenPlace(), {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
        (TokenPlace(cookie="session"), {"type": "apiKey", "in": "cookie", "name": "session"}),
        (TokenPlace(header="X-Token", scheme=""), {"type": "apiKey", "in": "header", "name": "X-Token"}),
    ],
    ids=["bearer", "cookie", "header"],
)
def test_openapi_shows_the_scheme(place: TokenPlace, expected: dict[str, str]) -> None:
    """The OpenAPI document names the scheme, where its token stands, and the scopes of each route."""
    jws = JWSSecurity(Caller, engine=engine(), place=place, scheme_name="Partner")
    document = app_of(jws, "pay").openapi()
    assert document["components"]["securitySchemes"] == {"Partner": expected}
    assert document["paths"]["/who"]["get"]["security"] == [{"Partner": ["pay"]}]


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
