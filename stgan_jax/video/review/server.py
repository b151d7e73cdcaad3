"""The review of a clip in the browser, for one person who has its link.

Every request needs the link's token, in a cookie that scripts cannot read, also on this machine:
others may have accounts here. Nothing may be kept by a browser, and no name is run as a script.
"""

import contextlib
import dataclasses
import functools
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from stgan_jax.methods import api, catalog
from stgan_jax.util import files, web
from stgan_jax.util.errors import InputError
from stgan_jax.util.proxy import DIRECT
from stgan_jax.video import batch, decisions, inputs
from stgan_jax.video.clip import ClipWork
from stgan_jax.video.people.anonymizing import Person
from stgan_jax.video.review import signing
from stgan_jax.video.review.session import Session
from stgan_jax.video.source import ClipOptions

BODY_LENGTH = 65_536  # bytes: a box with a few hundred key frames
NAME_LENGTH = 200
_HERE = Path(__file__).parent
_TEMPLATES = web.templates(_HERE / "templates")


def application(
    session: Session, token: str, sign: Callable[[str], Path], local: bool = True
) -> Callable:
    """A review as an ASGI application.

    Args:
      session: the review.
      token: the secret in its link.
      sign: signs off in somebody's name, and returns the page that says so.
      local: whether only this machine may ask.
    """
    pages = _Pages(session, token, sign)
    app = Starlette(
        routes=[
            Route("/join/{token}", pages.join),
            Route("/", pages.home),
            Route("/state", pages.state),
            Route("/tracks", pages.tracks),
            Route("/frames/{side}/{number:int}", pages.frame),
            Route("/thumbnails/{side}/{number:int}", pages.thumbnail),
            Route("/{change:str}", pages.change, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers=dict.fromkeys((HTTPException, InputError, OSError, KeyError), _refused),
    )
    return web.Guard(app, web.LOOPBACK if local else None, DIRECT, BODY_LENGTH, _message)


def _message(request: Request, text: str, status: int) -> Response:
    return JSONResponse({"error": text}, status)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _message(request, error.detail, error.status_code)
    if isinstance(error, InputError):
        return _message(request, f"{error}."[:1].upper() + f"{error}."[1:], 422)
    if isinstance(error, KeyError):
        return _message(request, "There is no such frame or track.", 404)
    return _message(request, "The disk takes or gives nothing at the moment.", 503)


class _Pages:
    """Answers to all requests."""

    def __init__(self, session: Session, token: str, sign: Callable[[str], Path]):
        self._session, self._token, self._sign = session, token, sign
        self._cookie = f"review-{secrets.token_hex(4)}"  # several reviews may share a host
        self._signed: tuple[str, Any] | None = None

    def _check(self, request: Request) -> None:
        token = request.cookies.get(self._cookie, "")
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            raise HTTPException(401, "Please open the link that the command printed.")

    def join(self, request: Request) -> Response:
        token = request.path_params["token"]
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            raise HTTPException(401, "This link is of another review.")
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, token, httponly=True, samesite="strict")
        return response

    def home(self, request: Request) -> Response:
        self._check(request)
        name = self._session.work.source.path.name
        clip, kinds = self._session.record.clip, self._session.work.basis.found_by
        page = _TEMPLATES.get_template("review.html")
        alpha = self._session.work.alpha
        return HTMLResponse(page.render(name=name, clip=clip, found_by=kinds, alpha=alpha))

    def state(self, request: Request) -> Response:
        self._check(request)
        return JSONResponse(self._state())

    def _state(self) -> dict[str, Any]:
        session = self._session
        record, seen = session.record, set(session.record.seen)
        signed = self._signed
        return {
            "revision": session.revision,
            "busy": session.busy,
            "progress": session.progress,
            "error": session.error,
            "decisions": record.decisions,
            "undone": len(record.undone),
            "moments": [
                {**dataclasses.asdict(m), "name": m.name, "seen": m.name in seen}
                for m in session.rendered.moments
            ],
            "refusal": signing.refusal(session),
            "signed": signed[0] if signed and signed[1] == record.decisions else None,
        }

    def tracks(self, request: Request) -> Response:
        self._check(request)
        done = self._session.rendered
        by_number = {person.number: person for person in done.persons}
        rows = [
            {
                "number": track.number,
                "how": track.how,
                "body": track.body,
                "alpha": track.alpha,
                "first": track.first,
                "last": track.last,
                "boxes": _boxes(subject.sightings.table()),
                "runs": _runs(by_number.get(track.number), subject.sightings.table()),
            }
            for track, subject in done.mended.subjects.items()
        ]
        curtains = [dataclasses.asdict(curtain) for curtain in done.plan.curtains]
        return JSONResponse({"tracks": rows, "curtains": curtains})

    def frame(self, request: Request) -> Response:
        self._check(request)
        data = self._session.frame(request.path_params["side"], request.path_params["number"])
        return Response(data, media_type="image/jpeg")

    def thumbnail(self, request: Request) -> Response:
        self._check(request)
        side, number = request.path_params["side"], request.path_params["number"]
        return Response(self._session.thumbnail(side, number), media_type="image/jpeg")

    async def change(self, request: Request) -> Response:
        self._check(request)
        changes = {
            "decide": self._decide,
            "undo": self._undo,
            "redo": self._redo,
            "see": self._see,
            "sign": self._begin_signing,
        }
        if (change := changes.get(request.path_params["change"])) is None:
            raise HTTPException(404, "There is nothing of this name.")
        values = await web.sent(request)
        await run_in_threadpool(change, values)
        return JSONResponse(await run_in_threadpool(self._state))

    def _decide(self, values: Any) -> None:
        self._session.decide(values)

    def _undo(self, values: Any) -> None:
        self._session.undo()

    def _redo(self, values: Any) -> None:
        self._session.redo()

    def _see(self, values: Any) -> None:
        if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
            raise HTTPException(422, "Names of doubtful moments are needed.")
        self._session.see(values)

    def _begin_signing(self, values: Any) -> None:
        who = values.get("who") if isinstance(values, dict) else None
        if not isinstance(who, str) or not who.strip() or len(who) > NAME_LENGTH:
            raise HTTPException(422, f"A name of 1 to {NAME_LENGTH} characters is needed.")
        if why := signing.refusal(self._session):
            raise HTTPException(409, why)

        def job() -> None:
            decided = self._session.record.decisions
            self._signed = os.fspath(self._sign(who.strip())), decided

        self._session.begin(job)


def _boxes(table: Any) -> dict[int, list[int]]:
    """Frame -> left, top, right, bottom."""
    return {int(row[0]): [int(row[k]) for k in (2, 1, 4, 3)] for row in table}


def _runs(person: Person | None, table: Any) -> list[list[Any]]:
    """First and last frame of each run of sightings, and why they are not drawn, if so."""
    runs: list[list[Any]] = []
    reasons = ["left as it is"] * len(table) if person is None else person.hidden
    for frame, why in zip(table[:, 0].tolist(), reasons, strict=True):
        if runs and runs[-1][1] == frame - 1 and runs[-1][2] == why:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame, why])
    return runs


def review(
    source: str | os.PathLike,
    output: str | os.PathLike | None,
    options: ClipOptions,
    *,
    checkpoint: str | os.PathLike | api.Anonymizer | None = None,
    overwrite: bool = False,
    port: int = 0,
    host: str | None = None,
) -> None:
    """Reviews a clip in the browser until SIGINT or SIGTERM; writes it when it is signed off.

    Many arguments because they are those of `batch.anonymize`, and an address.

    Args:
      source: the clip.
      output: where it is written, and signed off beside; by default beside the clip.
      options: how the clip is anonymised. Decisions are kept in the file that they name, by
        default the one beside the clip.
      checkpoint: argument of `catalog.load`, or a model from it.
      overwrite: replaces an output that exists.
      port: to listen at; 0 for any free one.
      host: address to listen at; None for this machine only.

    Raises:
      InputError: as in `clip.anonymize_video`; decisions that do not fit; or the address cannot be
        listened at.
    """
    jobs, _ = inputs.plan([source], output)
    if len(jobs) != 1 or jobs[0].kind != "clip" or jobs[0].source != Path(source):
        raise InputError(f"{source}: review takes one clip")
    batch.check_input(jobs[0], overwrite)
    clip, written = jobs[0].source, jobs[0].output
    model = checkpoint if isinstance(checkpoint, api.Anonymizer) else catalog.load(checkpoint)
    model = model.with_options(**options.of_model)
    chosen = None if str(options.decisions) in ("None", "beside") else options.decisions
    path = files.check_output(decisions.beside(clip) if chosen is None else Path(chosen))
    settings: dict[str, Any] = {
        name: value if isinstance(value, int | float | None) else str(value)
        for name, value in vars(options).items()
        if name != "seed"  # whoever has it can repeat the random numbers
    }
    settings |= {"model": model.name or model.kind, "digest": model.digest, "alpha": model.alpha}
    plain = dataclasses.replace(options, decisions=None)
    report = inputs.report_beside(written)
    taken, address = web.listener(host, port)
    with (
        taken,
        _private(path.with_name(files.shortened(f".{path.name}", "~") + "~")) as folder,
        contextlib.closing(ClipWork(clip, written, model, plain, report)) as work,
    ):
        work.find()
        with contextlib.closing(Session(work, path, folder)) as session:
            sign = functools.partial(signing.sign, session, output=written, settings=settings)
            token = secrets.token_urlsafe(24)
            app = application(session, token, sign, host is None)
            print(f"{address}/join/{token}", flush=True)
            web.serve(app, taken)


@contextlib.contextmanager
def _private(folder: Path) -> Iterator[Path]:
    """A folder that only the user may read, empty, removed in the end.

    Raises:
      InputError: another process uses it, or it is somebody else's.
    """
    with contextlib.suppress(FileExistsError):  # of a review that was killed
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise InputError(f"{folder}: is in the way of the review, remove it")
    folder.chmod(0o700)
    frames = folder / "frames"
    try:
        with files.locked(folder, "the clip is reviewed"):
            shutil.rmtree(frames, ignore_errors=True)
            frames.mkdir()
            try:
                yield frames
            finally:
                shutil.rmtree(frames, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):  # another process uses it
            folder.rmdir()
