"""The web server of one study: pages for raters and for the administrator, and their answers.

A rater's address holds the rater's token, and nothing else identifies a rater: there are no names,
cookies or accounts, so a foreign page cannot act in a rater's name. Blind: pictures have random ids
that are new for each rater and task, and the same headers; files of one image are of equal length;
all are read from the local disk.
"""

import secrets
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import Field
from starlette.exceptions import HTTPException as StarletteError
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp

from srgan.refs import Ref
from srgan.studies.database import Database, StaleError, UnknownRaterError
from srgan.studies.design import StudyDesign
from srgan.studies.limits import MAX_BODY_BYTES, RateLimit, SafeHeaders
from srgan.studies.parts import Screen
from srgan.studies.state import RaterState
from srgan.studies.texts import choose, languages, texts_of

_MAX_TOKEN = 64
"""Characters; a token has 22, and longer ones are not kept to count their requests."""
_STATIC = {"study.js": "text/javascript", "study.css": "text/css"}

router = APIRouter()


@dataclass(frozen=True)
class Served:
    """A study as the server has it open."""

    design: StudyDesign
    database: Database
    folder: Path
    """Folder of the pictures, which are files named by their SHA-256."""
    public_url: str
    """Beginning of the raters' links."""
    # A rating takes three requests; nobody rates faster than five a second.
    rater_limit: RateLimit = field(default_factory=lambda: RateLimit(burst=60, per_s=20))
    stranger_limit: RateLimit = field(default_factory=lambda: RateLimit(burst=20, per_s=0.5))


class Consent(Ref):
    """A rater's agreement."""

    agreed: Literal[True]
    language: Annotated[str, Field(max_length=10)]
    screen: Screen


class Answer(Ref):
    """A rater's judgement."""

    task: Annotated[str, Field(max_length=40)]
    answer: Literal["1", "2", "3", "4", "5", "left", "right", "same"]
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
    pixel_ratio: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)]


class Undone(Ref):
    """The judgement that a rater takes back."""

    task: Annotated[str, Field(max_length=40)]


def study_app(served: Served) -> ASGIApp:
    """The application that serves one study."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.served = served
    app.include_router(router)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_exception_handler(UnknownRaterError, _unknown)
    app.add_exception_handler(StaleError, _stale)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(StarletteError, _refused)
    # Around everything: as a middleware of the app it would not see the answer to a failure.
    return SafeHeaders(app)


def _served(request: Request) -> Served:
    found: Served = request.app.state.served
    return found


Opened = Annotated[Served, Depends(_served)]


def _rater(served: Opened, token: str) -> str:
    """The token of a path, within its limit; the database knows whether anybody has it."""
    if len(token) > _MAX_TOKEN:
        raise UnknownRaterError
    if not served.rater_limit.allows(token):
        raise HTTPException(429, "too many requests", {"Retry-After": "1"})
    return token


def _admin(served: Opened, token: str) -> str:
    if not secrets.compare_digest(token.encode(), served.database.admin_token.encode()):
        raise UnknownRaterError
    return token


Rater = Annotated[str, Depends(_rater)]
Admin = Annotated[str, Depends(_admin)]


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    if name not in _STATIC:
        raise HTTPException(404, "there is no such file")
    return Response(_file(name), media_type=_STATIC[name])


@router.get("/favicon.ico")
def no_icon() -> Response:
    """Browsers ask for one and would note an error."""
    return Response(status_code=204)


@router.get("/r/{token}")
def rater_page(request: Request, served: Opened, token: Rater, lang: str | None = None) -> Response:
    language = _language(request, lang or served.database.language_of(token))
    return _page("study.html", language, token=token, design=served.design)


@router.get("/r/{token}/state")
def state(served: Opened, token: Rater) -> RaterState:
    return served.database.state(token)


@router.get("/r/{token}/pictures/{picture}")
def picture(served: Opened, token: Rater, picture: str) -> Response:
    sha256 = served.database.picture(token, picture)
    if sha256 is None:
        raise HTTPException(404, "there is no such picture")
    # Not a FileResponse, whose ETag and Last-Modified would tell files apart.
    return Response((served.folder / sha256).read_bytes(), media_type="image/png")


@router.post("/r/{token}/begin")
def begin(served: Opened, token: Rater, given: Consent) -> RaterState:
    return served.database.begin(token, choose(given.language, ""), given.screen)


@router.post("/r/{token}/trained")
def trained(served: Opened, token: Rater) -> RaterState:
    return served.database.end_training(token)


@router.post("/r/{token}/judge")
def judge(served: Opened, token: Rater, given: Answer) -> RaterState:
    if given.answer.isdecimal() != (served.design.judging == "ratings"):
        raise HTTPException(422, f"this is a study of {served.design.judging}")
    return served.database.judge(token, given.task, given.answer, given.seconds, given.pixel_ratio)


@router.post("/r/{token}/undo")
def undo(served: Opened, token: Rater, given: Undone) -> RaterState:
    return served.database.undo(token, given.task)


@router.get("/r/{token}/withdraw")
def withdraw_page(
    request: Request, served: Opened, token: Rater, lang: str | None = None
) -> Response:
    language = _language(request, lang or served.database.language_of(token))
    return _page("withdraw.html", language, token=token)


@router.post("/r/{token}/withdraw")
def withdraw(request: Request, served: Opened, token: Rater) -> Response:
    language = _language(request, served.database.language_of(token))
    served.database.withdraw(token)
    return _page("message.html", language, message="withdrawn")


@router.get("/admin/{token}")
def admin_page(served: Opened, token: Admin) -> Response:
    raters = served.database.progress()
    return _page(
        "admin.html", "en", token=token, raters=raters, url=served.public_url, design=served.design
    )


@router.post("/admin/{token}/raters")
def add_rater(served: Opened, token: Admin) -> Response:
    served.database.add_rater()
    return RedirectResponse(f"/admin/{token}", 303)


def _unknown(request: Request, error: Exception) -> Response:
    """Answer a guessed or forgotten address; those that ask often have to wait."""
    host = request.client.host if request.client else ""
    if not _served(request).stranger_limit.allows(host):
        return Response("too many requests", 429, {"Retry-After": "10"})
    return _page("message.html", _language(request, None), 404, message="unknown_link")


def _stale(request: Request, error: Exception) -> Response:
    return Response("this is not the current task; ask for the state again", 409)


def _not_understood(request: Request, error: Exception) -> Response:
    return Response("the request is not understood", 422)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteError)
    return Response(str(error.detail), error.status_code, error.headers)


def _language(request: Request, wanted: str | None) -> str:
    return choose(wanted, request.headers.get("accept-language", ""))


def _page(name: str, language: str, status: int = 200, **values: object) -> HTMLResponse:
    words = {"t": texts_of(language), "language": language, "languages": languages()}
    return HTMLResponse(_pages().get_template(name).render(**words, **values), status)


@cache
def _pages() -> Environment:
    loader = PackageLoader("srgan.studies.page", "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined)


@cache
def _file(name: str) -> bytes:
    return (files("srgan.studies.page") / name).read_bytes()
