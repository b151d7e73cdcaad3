"""A study behind a reverse proxy: every link leads back to it, and ratings get through."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from test_study_server import study, template, tokens  # noqa: F401 (fixtures)

from stgan_jax.study import server
from stgan_jax.util.errors import InputError
from stgan_jax.util.proxy import Proxy

ROOT = Path(__file__).parents[2]
STRIPPING = "location /study/ {\n    proxy_pass http://127.0.0.1:8000/;\n}"
ELSEWHERE = "location / {\n    proxy_pass http://127.0.0.1:8000;\n}"


def documented():
    return re.search(r"```nginx\n(.*?)```", (ROOT / "docs/study.md").read_text(), re.DOTALL)[1]


class Nginx:
    """What nginx makes of requests for https://lab.example by a `location` block."""

    def __init__(self, text, app):
        self.location = re.search(r"location (\S+) {", text)[1]
        url = re.search(r"proxy_pass (\S+);", text)[1]
        self.uri = re.fullmatch(r"http://[^/]+(/.*)?", url)[1]
        values = {"$host": "lab.example", "$http_host": "lab.example", "$scheme": "https"}
        self.headers = {"Host": "127.0.0.1:8000"}  # $proxy_host
        for name, value in re.findall(r"proxy_set_header (\S+) (\S+);", text):
            self.headers[name] = values[value]
        self.client = TestClient(app, "http://127.0.0.1:8000", follow_redirects=False)
        self.cookies = {}

    def request(self, method, path, **options):
        assert path.startswith(self.location), path
        inside = path if self.uri is None else self.uri + path.removeprefix(self.location)
        cookies = "; ".join(
            f"{name}={value}"
            for name, (value, below) in self.cookies.items()
            if path.startswith(below)
        )
        headers = {**options.pop("headers", {}), **self.headers, "Cookie": cookies}
        self.client.cookies.clear()
        answer = self.client.request(method, inside, headers=headers, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, value = line.partition(";")[0].split("=")
            self.cookies[name] = value, re.search(r"[Pp]ath=([^;]+)", line)[1]
            assert "secure" in line.lower() or "X-Forwarded-Proto" not in self.headers
        return answer

    def get(self, path, **options):
        answer = self.request("GET", path, **options)
        while answer.status_code in (302, 303, 307):
            answer = self.request("GET", path := answer.headers["location"])
        assert answer.status_code == 200, (path, answer.text)
        return answer


@pytest.mark.parametrize(
    ("config", "proxy"),
    [
        (documented(), Proxy("/study", forwarded=True)),
        (documented(), Proxy("study/", forwarded=True)),
        (STRIPPING, Proxy("/study")),
        (ELSEWHERE, Proxy()),
    ],
)
def test_a_rater_gets_through_a_proxy(study, config, proxy):  # noqa: F811
    """Links, redirects, style, script, clips and the cookie stay below the path."""
    nginx = Nginx(config, server.application(study, True, proxy))
    root = nginx.location.rstrip("/")
    page = nginx.get(f"{root}/join/{tokens(study)[0]}").text
    # As browsers send them: of two proxies, one passes another Host on.
    sent = {"Origin": "https://lab.example"}
    if proxy.forwarded is False:
        sent["Sec-Fetch-Site"] = "same-origin"
    for link in re.findall(r'(?:href|src|action)="([^"]+)"', page):
        assert link.startswith(f"{root}/")
        if "static" in link:
            nginx.get(link)
    body = {"data": {"agree": "yes"}, "headers": sent}
    answer = nginx.request("POST", f"{root}/consent", **body)
    assert answer.headers["location"] == f"{root}/instructions"
    page = nginx.get(f"{root}/rate").text
    assert f'data-root="{root}"' in page
    presentation = re.search(r'data-presentation="([^"]+)"', page)[1]
    assert nginx.get(f"{root}/clips/{presentation}").headers["content-type"] == "video/mp4"
    rating = {"presentation": presentation, "score": 4, "plays": 1}
    answer = nginx.request("POST", f"{root}/ratings", json=rating, headers=sent)
    assert answer.json()["rated"] == 1
    assert "/ratings" in nginx.get(f"{root}/static/study.js").text


def test_headers_are_believed_only_where_asked_for(study):  # noqa: F811
    """Another Origin than Host is refused, and forwarded names get nobody past the door."""
    said = {"Origin": "https://lab.example", "X-Forwarded-Host": "lab.example"}
    for proxy, status in ((Proxy(), 403), (Proxy(forwarded=True), 401)):
        client = TestClient(server.application(study, True, proxy), "http://127.0.0.1:8000")
        assert client.post("/consent", data={"agree": "yes"}, headers=said).status_code == status
        standard = {
            "Origin": said["Origin"],
            "Forwarded": "for=9.9.9.9;host=lab.example;proto=https",
        }
        assert (
            client.post("/consent", data={"agree": "yes"}, headers=standard).status_code == status
        )
        other = {**said, "Origin": "https://evil.example"}
        assert client.post("/consent", data={"agree": "yes"}, headers=other).status_code == 403
    open_door = TestClient(
        server.application(study, False, Proxy(forwarded=True)), "http://127.0.0.1"
    )
    assert open_door.get("/").status_code == 200
    assert open_door.get("/", headers={"X-Forwarded-Host": "lab.example"}).status_code == 403
    prefixed = TestClient(
        server.application(study, True, Proxy(forwarded=True)), "http://127.0.0.1"
    )
    page = prefixed.get("/", headers={"X-Forwarded-Prefix": "/lab"}).text
    assert 'href="/lab/static/study.css"' in page


def test_a_root_path_is_a_path():
    assert Proxy("a/b/").root_path == "/a/b"
    assert Proxy("/").root_path == ""
    for path in ("/a b", "http://x/study", "/a//b"):
        with pytest.raises(InputError, match="needs a path, as /study"):
            Proxy(path)
