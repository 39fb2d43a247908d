"""One application that tells what it read, in each framework, for the tests of signed bodies."""

from __future__ import annotations

from typing import Any

import frameworks
from frameworks import reported

from rapidjws.middleware import JWSMiddleware


def django_wsgi() -> Any:
    """Return Django under WSGI, with a view of Django REST framework."""
    frameworks._django_set_up()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def django_asgi() -> Any:
    """Return Django under ASGI."""
    frameworks._django_set_up()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def flask() -> Any:
    """Return Flask."""
    from flask import Flask, request

    app = Flask("who")

    @app.post("/who")
    def who() -> dict[str, Any]:
        return reported(request.environ.get("rapidjws"), request.headers.items(), request.get_data())

    @app.post("/form")
    def form() -> dict[str, Any]:
        return {
            **reported(request.environ.get("rapidjws"), request.headers.items()),
            "form": request.form.to_dict(),
        }

    return app.wsgi_app


def starlette(*middleware: Any) -> Any:
    """Return Starlette behind its own middlewares."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def who(request: Any) -> Any:
        body = await request.body()
        return JSONResponse(reported(request.scope.get("rapidjws"), request.headers.items(), body))

    async def form(request: Any) -> Any:
        known = reported(request.scope.get("rapidjws"), request.headers.items())
        return JSONResponse({**known, "form": dict(await request.form())})

    routes = [Route("/who", who, methods=["POST"]), Route("/form", form, methods=["POST"])]
    return Starlette(routes=routes, middleware=list(middleware))


def reading_middleware(*, reads: str) -> Any:
    """Return a BaseHTTPMiddleware that reads the body in a way, or not, and hands the request on."""
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    class Reading(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            """Read, and hand on."""
            if reads == "body":
                await request.body()
            elif reads == "stream":
                async for _ in request.stream():
                    pass
            return await call_next(request)

    return Middleware(Reading)


def aiohttp_app(body: Any) -> Any:
    """Return aiohttp behind its middleware."""
    from aiohttp import web

    from rapidjws.middleware.aiohttp import DECISION, setup

    async def who(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            reported(request.get(DECISION), request.headers.items(), await request.read())
        )

    async def form(request: web.Request) -> web.StreamResponse:
        known = reported(request.get(DECISION), request.headers.items())
        return web.json_response({**known, "form": dict(await request.post())})

    app = web.Application()
    app.add_routes([web.post("/who", who), web.post("/form", form)])
    setup(app, body=body)
    return app


def fastapi_app(body: Any) -> Any:
    """Return FastAPI with the dependency, of all routes."""
    from fastapi import Depends, FastAPI, Request

    from rapidjws.middleware.fastapi import JWSSecurity

    async def who(request: Any) -> Any:
        return reported(request.scope.get("rapidjws"), request.headers.items(), await request.body())

    async def form(request: Any) -> Any:
        known = reported(request.scope.get("rapidjws"), request.headers.items())
        return {**known, "form": dict(await request.form())}

    kind: Any = Any
    app = FastAPI(dependencies=[Depends(JWSSecurity(kind, body=body))])
    for path, view in (("/who", who), ("/form", form)):
        view.__annotations__ = {"request": Request}
        app.add_api_route(path, view, methods=["POST"])
    return app


def litestar_app(body: Any) -> Any:
    """Return Litestar behind the ASGI middleware."""
    from litestar import Litestar, Request, post
    from litestar.middleware import DefineMiddleware

    async def who(request: Any) -> Any:
        return reported(request.scope.get("rapidjws"), request.headers.items(), await request.body())

    async def form(request: Any) -> Any:
        known = reported(request.scope.get("rapidjws"), request.headers.items())
        return {**known, "form": dict(await request.form())}

    routes = []
    for path, view in (("/who", who), ("/form", form)):
        view.__annotations__ = {"request": Request[Any, Any, Any], "return": dict[str, Any]}
        routes.append(post(path, status_code=200)(view))
    middleware = [DefineMiddleware(JWSMiddleware, body=body)]
    return Litestar(routes, middleware=middleware, openapi_config=None)


def our_middleware(body: Any) -> Any:
    """Return the ASGI middleware as one of Starlette's."""
    from starlette.middleware import Middleware

    return Middleware(JWSMiddleware, body=body)
