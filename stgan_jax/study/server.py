"""The study in the browser: consent, instructions, one clip at a time, thanks.

Nobody who can reach the port is trusted. A rater is whoever has the token, in a cookie that
scripts cannot read; another site's page can neither send nor frame anything; unexpected requests
are refused with a status that says why.
"""

import logging
import os
import sqlite3
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stgan_jax.study.database import (
    COMMENT_LENGTH,
    INVITATIONS,
    LABELS,
    Database,
    Rater,
    Refusal,
    new_token,
)
from stgan_jax.util import web
from stgan_jax.util.proxy import DIRECT, Proxy

BODY_LENGTH = 16_384  # bytes: a comment of the greatest length fits, whatever it is written in
_HERE = Path(__file__).parent
_TEMPLATES = web.templates(_HERE / "templates")


def _page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    return HTMLResponse(_TEMPLATES.get_template(template).render(root=root, **values), status)


def _message(request: Request, text: str, status: int) -> HTMLResponse:
    return _page(request, "message.html", status, text=text)


def application(folder: str | os.PathLike, invited_only: bool, proxy: Proxy = DIRECT) -> Callable:
    """The study as an ASGI application.

    Args:
      folder: a study that was built.
      invited_only: whether raters need a token. If not, everybody, on this machine only, gets the
        next free place.
      proxy: how it is reached from outside.

    Raises:
      InputError: there is no study.
    """
    pages = _Pages(Database(folder), invited_only)
    app = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/join/{token}", pages.join),
            Route("/consent", pages.consent, methods=["POST"]),
            Route("/instructions", pages.instructions),
            Route("/rate", pages.rate),
            Route("/clips/{presentation}", pages.clip),
            Route("/ratings", pages.rating, methods=["POST"]),
            Route("/thanks", pages.thanks),
            Route("/comment", pages.comment, methods=["POST"]),
            Route("/leave", pages.leaving),
            Route("/leave", pages.leave, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers=dict.fromkeys((Refusal, HTTPException, sqlite3.Error), pages.refused),
    )
    hosts = None if invited_only else web.LOOPBACK
    return web.Guard(app, hosts, proxy, BODY_LENGTH, _message)


class _Pages:
    """Answers to all requests."""

    def __init__(self, study: Database, invited_only: bool):
        self._study, self._invited_only = study, invited_only
        self._cookie = f"rater-{study.settings['id']}"  # several studies may share a host

    def home(self, request: Request) -> Response:
        rater = self._study.rater(self._token(request))
        if rater is None and self._invited_only:
            self._rater(request)
        if rater is not None and rater.consented:
            return _redirect(request, "/rate")
        page = _page(request, "consent.html", settings=self._study.settings)
        # A token before there is a place: consent that is sent twice takes one place.
        return page if rater else self._with_token(request, page, new_token())

    def join(self, request: Request) -> Response:
        token = request.path_params["token"]
        if self._study.rater(token) is None:
            raise Refusal(401, "This link is not known here: use the one you were given.")
        return self._with_token(request, _redirect(request, "/"), token)

    async def consent(self, request: Request) -> Response:
        if (await _form(request)).get("agree") != "yes":
            raise HTTPException(422, "Please tick the box, or close this page.")
        token, may_claim = self._token(request), not self._invited_only
        await run_in_threadpool(self._study.consent, token, may_claim=may_claim)
        return _redirect(request, "/instructions")

    def instructions(self, request: Request) -> Response:
        return _page(request, "instructions.html", rater=self._consented(request), labels=LABELS)

    def rate(self, request: Request) -> Response:
        rater = self._consented(request)
        if rater.finished:
            return _redirect(request, "/thanks")
        return _page(
            request,
            "rate.html",
            rater=rater,
            labels=LABELS,
            settings=self._study.settings,
            presentation=self._study.upcoming(rater),
            invited=self._invited_only,
        )

    def clip(self, request: Request) -> Response:
        path = self._study.clip(self._consented(request), request.path_params["presentation"])
        # A name never gets other content, and every replay asks for it again.
        headers = {"cache-control": "private, max-age=3600"}
        return FileResponse(path, media_type=self._study.settings["video"], headers=headers)

    async def rating(self, request: Request) -> Response:
        values = await web.sent(request)
        if not _is_rating(values):
            raise HTTPException(422, "A presentation and a score from 1 to 5 are needed.")
        await run_in_threadpool(self._study.rate, self._token(request), **values)
        rater = await run_in_threadpool(self._rater, request)
        following = await run_in_threadpool(self._study.upcoming, rater)
        return JSONResponse({"next": following, "rated": rater.rated})

    def thanks(self, request: Request) -> Response:
        rater = self._consented(request)
        if not rater.finished:
            return _redirect(request, "/rate")
        return _page(
            request, "thanks.html", rater=rater, invited=self._invited_only, length=COMMENT_LENGTH
        )

    async def comment(self, request: Request) -> Response:
        text = (await _form(request)).get("comment", "").strip()
        if len(text) > COMMENT_LENGTH:
            raise HTTPException(422, f"{COMMENT_LENGTH} characters at most, please.")
        await run_in_threadpool(self._study.comment, self._token(request), text)
        return _redirect(request, "/thanks")

    def leaving(self, request: Request) -> Response:
        return _page(request, "leave.html", rater=self._consented(request))

    def leave(self, request: Request) -> Response:
        response = _redirect(request, "/")
        if not self._invited_only:
            response.delete_cookie(self._cookie, path=_cookie_path(request))
        return response

    async def refused(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            status, text = error.status_code, error.detail
        elif isinstance(error, Refusal):
            status, text = error.status, str(error)
        else:  # a full disk, say
            logging.getLogger("uvicorn.error").error("%s: %s", self._study.path, error)
            status, text = 503, "The study's disk takes nothing at the moment."
        if request.url.path.endswith("/ratings"):
            return JSONResponse({"error": text}, status)
        return _message(request, text, status)

    def _token(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")

    def _with_token(self, request: Request, response: Response, token: str) -> Response:
        # Lax, so that a link in a mail works.
        response.set_cookie(
            self._cookie,
            token,
            max_age=90 * 86400,
            path=_cookie_path(request),
            secure=request.scope["scheme"] == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    def _rater(self, request: Request) -> Rater:
        rater = self._study.rater(self._token(request))
        if rater is None:
            raise Refusal(401, "Please open the link that you were given for this study.")
        return rater

    def _consented(self, request: Request) -> Rater:
        rater = self._rater(request)
        if not rater.consented:
            raise Refusal(403, "Please agree to take part first.")
        return rater


def _redirect(request: Request, path: str) -> Response:
    return RedirectResponse(request.scope["root_path"] + path, 303)


def _cookie_path(request: Request) -> str:
    return request.scope["root_path"] + "/"


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode(errors="replace")
    return dict(urllib.parse.parse_qsl(text))


def _is_rating(values: Any) -> bool:
    return (
        isinstance(values, dict)
        and set(values) == {"presentation", "score", "plays"}
        and isinstance(values["presentation"], str)
        and values["presentation"].isascii()
        and all(type(values[name]) is int for name in ("score", "plays"))
        and 1 <= values["score"] <= len(LABELS)
        and 0 <= values["plays"] <= 1000
    )


def serve(
    folder: str | os.PathLike,
    port: int = 8000,
    host: str | None = None,
    root_path: str = "",
    forwarded: bool = False,
) -> None:
    """Serves a study until SIGINT or SIGTERM.

    Args:
      folder: a study that was built.
      port: to listen at; 0 for any free one.
      host: address to listen at, with a token for every rater. None for this machine only, where
        everybody gets the next free place.
      root_path: see `Proxy`.
      forwarded: see `Proxy`.

    Raises:
      InputError: there is no study, or the address cannot be listened at.
    """
    proxy = Proxy(root_path, forwarded)
    app = application(folder, host is not None, proxy)
    listener, address = web.listener(host, port)
    print(f"{address}{proxy.root_path}/", flush=True)
    if host is not None:
        print(f"raters need the links in {Path(folder) / INVITATIONS}", flush=True)
    web.serve(app, listener)
