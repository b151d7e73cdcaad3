"""What all pages of this program share: headers, first checks of every request, and listening.

Nobody who can reach the port is trusted. Another site's page can neither send nor frame anything;
unexpected requests are refused with a status that says why.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from stgan_jax.util.errors import InputError
from stgan_jax.util.proxy import Proxy

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE = ("GET", "HEAD")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: a form would then send "Origin: null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Wraps a whole application: headers for every answer, errors too, and first checks."""

    def __init__(
        self,
        app: Callable,
        hosts: frozenset[str] | None,
        proxy: Proxy,
        most: int,
        refuse: Callable[[Request, str, int], Response],
    ):
        """Takes what is guarded.

        Args:
          app: an ASGI application.
          hosts: names by which it may be asked; None for any.
          proxy: how it is reached from outside.
          most: bytes of a request's body.
          refuse: makes an answer of a sentence and a status.
        """
        self._app, self._hosts, self._proxy = app, hosts, proxy
        self._most, self._refuse = most, refuse

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def headed(message):
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                names = {name for name, _ in headers}
                extra = {**_HEADERS, "cache-control": "no-store"}
                pairs = ((name.encode(), value.encode()) for name, value in extra.items())
                message["headers"] = [*headers, *(p for p in pairs if p[0] not in names)]
            await send(message)

        request = Request(self._proxy.as_asked_for(scope), receive)
        scope, refusal = request.scope, self._refusal(request)
        if refusal is None and scope["method"] not in _SAFE:
            body = b""
            try:
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._most:
                        refusal = self._refuse(request, "This is too much to send.", 413)
                        break
            except ClientDisconnect:
                return None

            async def receive():
                return {"type": "http.request", "body": body, "more_body": False}

        return await (refusal or self._app)(scope, receive, headed)

    def _refusal(self, request: Request) -> Response | None:
        host = self._proxy.host(request)
        # Another site's name may point here (DNS rebinding): it must not get in without a token.
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return self._refuse(request, "This is open to its own machine only.", 403)
        if request.method in _SAFE:
            return None
        site = request.headers.get("sec-fetch-site")
        scheme, _, origin = request.headers.get("origin", "").lower().partition("://")
        usual = {"http": ":80", "https": ":443"}.get(scheme, "")
        same = origin.removesuffix(usual) == host.removesuffix(usual)
        if not (site == "same-origin" if site else origin and same):
            return self._refuse(request, "This was not sent by one of these pages.", 403)
        return None


def _without_port(host: str) -> str:
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def templates(folder: Path) -> jinja2.Environment:
    """The pages of a folder. Names that hold markup are shown as text."""
    loader = jinja2.FileSystemLoader(folder)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)


async def sent(request: Request) -> Any:
    """The JSON of a request. Raises `HTTPException` if it is none."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "JSON is needed.")
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "This is no JSON.") from error


def listener(host: str | None, port: int) -> tuple[socket.socket, str]:
    """A socket, and the address that a browser reaches it by, as http://127.0.0.1:8000.

    Args:
      host: address to listen at; None for this machine only.
      port: to listen at; 0 for any free one.

    Raises:
      InputError: the address cannot be listened at.
    """
    address = "127.0.0.1" if host is None else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        taken = socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise InputError(f"{address}:{port}: cannot listen there ({reason})") from error
    shown = f"[{address}]" if ":" in address else address
    return taken, f"http://{shown}:{taken.getsockname()[1]}"


def serve(app: Callable, taken: socket.socket) -> None:
    """Answers until SIGINT or SIGTERM. Keeps no log of requests, which would hold addresses."""
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
    uvicorn.Server(config).run([taken])
