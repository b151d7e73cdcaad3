"""Pages behind a reverse proxy: below a path, or under another name."""

import dataclasses
import re
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from stgan_jax.util.errors import InputError

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclasses.dataclass(frozen=True)
class Proxy:
    """How pages are reached from outside.

    Attributes:
      root_path: the path that it has there, as "/study"; "" for a name of its own. A proxy may
        strip it from what it asks for, or not.
      forwarded: whether X-Forwarded-Host, -Proto and -Prefix, or Forwarded, are believed: only
        where nobody reaches them but through a proxy that sets them.
    """

    root_path: str = ""
    forwarded: bool = False

    def __post_init__(self):
        """Raises `InputError` if the path is none."""
        root = "/" + self.root_path.strip("/") if self.root_path.strip("/") else ""
        if root and not _PATH.fullmatch(root):
            raise InputError(f"--root_path={self.root_path}: needs a path, as /study")
        object.__setattr__(self, "root_path", root)

    def host(self, request: Request) -> str:
        """Name and port by which the browser reaches the pages, in small letters."""
        headers = request.headers
        host = headers.get("host", "")
        if self.forwarded:
            standard = re.search(r'host="?([^";, ]+)', headers.get("forwarded", ""), re.IGNORECASE)
            host = headers.get("x-forwarded-host", standard[1] if standard else host)
        return host.partition(",")[0].strip().lower()

    def as_asked_for(self, scope: MutableMapping[str, Any]) -> dict[str, Any]:
        """A request as the browser sent it: with the root path in its path, and its scheme."""
        headers = Headers(scope=scope)
        root, scheme = self.root_path, scope["scheme"]
        if self.forwarded:
            prefix = "/" + headers.get("x-forwarded-prefix", "").strip("/")
            root = root or (prefix if _PATH.fullmatch(prefix) else "")
            said = headers.get("x-forwarded-proto", "").partition(",")[0].strip()
            standard = "proto=https" in headers.get("forwarded", "").lower()
            scheme = "https" if said == "https" or standard else scheme
        inside = scope["path"]
        if root and (inside == root or inside.startswith(f"{root}/")):
            inside = inside.removeprefix(root)
        path = root + (inside or "/")
        return {**scope, "root_path": root, "path": path, "scheme": scheme}


DIRECT = Proxy()
