"""An API of which one route wants a verified token, and a scope; its keys come from the file JWKS names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Security
from pydantic import BaseModel

from rapidjws import Engine, Issuer
from rapidjws.keys import FileJWKS
from rapidjws.middleware.fastapi import JWSSecurity


class Caller(BaseModel):
    """What the route needs of the claims."""

    sub: str
    scope: str


engine = Engine(
    Issuer(
        "https://shop.example",
        keys=FileJWKS(Path(os.environ["JWKS"])),
        algorithms=["ES256"],
        audience="https://api.example",
    )
)
jws = JWSSecurity(Caller, engine=engine)
app = FastAPI()


@app.get("/health")
async def health() -> str:
    """Answer anyone."""
    return "fine"


@app.get("/orders")
async def orders(caller: Annotated[Caller, Security(jws, scopes=["orders"])]) -> dict[str, str]:
    """Answer a caller who may see orders."""
    return {"orders of": caller.sub}
