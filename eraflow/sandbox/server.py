"""The sandbox as a web application: the protocol, the files, the uploads, and a switchboard for tests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from eraflow.disk.atomic import StorageError, atomic_path
from eraflow.sandbox import downloads, protocol
from eraflow.sandbox.altered import alter
from eraflow.sandbox.calendar import RoundSpec
from eraflow.sandbox.datafolder import DataFolder
from eraflow.sandbox.faults import Faults
from eraflow.sandbox.hostile import API_FAULTS, HostileEdge, api_answer, skewed_answer
from eraflow.sandbox.operations import Operations
from eraflow.sandbox.picklefaults import PICKLE_CHANGES, after_pickle_change
from eraflow.sandbox.records import SANDBOX_KEYS, Records
from eraflow.sandbox.signing import signature_allows
from eraflow.sandbox.tournamentfile import told_tournament

log = logging.getLogger(__name__)


def make_app(
    folder: Path,
    state_dir: Path,
    *,
    version: str = "v5.3",
    round_spec: RoundSpec | None = None,
    models: Sequence[str] = ("eraflow",),
    clock: Callable[[], float] = time.time,
    faults: Mapping[str, int] | None = None,
    rehearsals: Path | None = None,
) -> FastAPI:
    """The application that serves `folder` as data set `version` and keeps what it receives in `state_dir`.

    Args:
        clock: seconds since 1970; the armed fault `clock_offset` is added to it.
        faults: armed from the start, as in `Faults`.
        rehearsals: the environments in which uploaded models are run; None: they are stored and not run.

    Raises:
        DataFolderError: the folder is not in tournament layout.
        TournamentFileError: its .tournament.json, which says what time it is there, cannot be understood.
        StateInUseError: another sandbox works on `state_dir`.
    """
    armed = Faults()
    armed.arm(faults or {})

    def now() -> float:
        return clock() + armed.clock_offset

    spec = round_spec or RoundSpec()
    if (told := told_tournament(folder, spec)) is not None:
        spec, armed.clock_offset = told.round, round(told.now.timestamp() - clock())
        version = told.version or version
    data = DataFolder(folder, version)
    operations = Operations(data, Records(state_dir), spec, models, now, rehearsals)
    app = FastAPI(title="Eraflow sandbox", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.operations, app.state.faults = operations, armed
    app.add_middleware(HostileEdge, faults=armed, clock=now)
    _add_protocol(app, operations, armed)
    _add_files(app, operations, armed, state_dir / "altered")
    _add_uploads(app, operations, armed)
    _add_switchboard(app, operations, armed)
    return app


def _add_protocol(app: FastAPI, operations: Operations, faults: Faults) -> None:
    @app.post("/")
    async def graphql(request: Request) -> Response:
        if (fault := faults.first(*API_FAULTS)) is not None:
            return await api_answer(fault)
        try:
            body = await request.json()
            query, variables = str(body["query"]), body.get("variables")
        except (ValueError, KeyError, TypeError, AttributeError):
            return JSONResponse({"errors": [{"message": "no query in the request"}]}, status_code=400)
        key, base = request.headers.get("authorization"), str(request.base_url)
        # Judging a submission takes a while: never on the event loop.
        status, reply = await run_in_threadpool(_reply, operations, faults, query, variables, key, base)
        return JSONResponse(reply, status_code=status)


def _reply(
    operations: Operations, faults: Faults, query: str, variables: Any, key: str | None, base: str
) -> tuple[int, dict[str, Any]]:
    document, errors = protocol.read(query)
    if document is None or errors:
        return 200, protocol.refusal(*errors)
    if protocol.needs_key(document) and (faults.take("wrong_key") or not _is_key(key)):
        return 401, {"errors": [{"message": "Your session is invalid or has expired."}]}
    if protocol.asks_for(document, "submissionDownloadAuth") and faults.take("readback_refused"):
        return 200, {"errors": [{"message": "Downloads of submissions are switched off"}]}
    reply = protocol.answer(document, operations.resolvers(), variables, base)
    if protocol.asks_for(document, "submissions") and faults.take("submissions_odd"):
        for row in (reply.get("data") or {}).get("submissions") or []:
            row["insertedAt"] = 20261121
    if protocol.asks_for(document, "computePickleDockerImages") and faults.take("image_gone"):
        rows = reply["data"]["computePickleDockerImages"]
        reply["data"]["computePickleDockerImages"] = [{**row, "deprecated": True} for row in rows]
    if "errors" not in reply and protocol.asks_for(document, *PICKLE_CHANGES):
        return after_pickle_change(operations, faults, document, reply)
    if "errors" not in reply and protocol.asks_for(document, "createSubmission", "create_submission"):
        if faults.take("create_twice"):
            protocol.answer(document, operations.resolvers(), variables, base)
        return _after_create(operations, faults, reply)
    return 200, reply


def _after_create(operations: Operations, faults: Faults, reply: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What the submitter hears of a submission that was just registered."""
    if faults.take("validation_fails"):
        with operations.records.changing() as data:
            data["submissions"][-1]["error"] = "invalid_submission: the validation of the sandbox was told to fail"
    if faults.take("create_lost"):
        return 500, {"errors": [{"message": "Internal server error"}]}
    if faults.take("create_refused"):
        return 200, {"errors": [{"message": "This file has already been submitted"}]}
    return 200, reply


def _is_key(header: str | None) -> bool:
    return header == f"Token {SANDBOX_KEYS[0]}${SANDBOX_KEYS[1]}"


def _add_files(app: FastAPI, operations: Operations, faults: Faults, scratch: Path) -> None:
    @app.api_route("/files/{name:path}", methods=["GET", "HEAD"])
    def dataset(name: str, request: Request) -> Response:
        path = operations.data.path(name)
        if path is None:
            return Response(status_code=404)
        if not _is_signed(operations, "GET", request):
            return Response("the signature is unknown or has expired", status_code=403)
        if path.name == "live.parquet":
            _change_round(operations, faults)
        return downloads.file_answer(path, name, request, faults, scratch)


def _change_round(operations: Operations, faults: Faults) -> None:
    """What may happen to a round while somebody works for it."""
    calendar = operations.calendar
    if faults.take("closes_after_live"):
        calendar.close()
    if faults.take("multipliers_double"):
        doubled = {name: 2 * value for name, value in calendar.spec.multipliers.items()}
        calendar.spec = replace(calendar.spec, multipliers=doubled)


def _add_uploads(app: FastAPI, operations: Operations, faults: Faults) -> None:
    @app.put("/uploads/{name}")
    async def upload(name: str, request: Request) -> Response:
        if faults.take("put_skewed"):
            return skewed_answer()
        if faults.take("put_500"):
            return Response("internal error", status_code=500)
        refused = faults.take("put_403") or name not in operations.records.data["uploads"]
        if refused or not _is_signed(operations, "PUT", request):
            return Response("the signature is unknown or has expired", status_code=403)
        if faults.take("put_lost"):
            await request.body()
            return Response(status_code=200)
        try:
            with atomic_path(operations.records.uploads / name) as temporary, temporary.open("wb") as handle:
                async for chunk in request.stream():
                    handle.write(chunk)
        except StorageError as error:
            log.error("%s", error)
            return Response(str(error), status_code=507)
        if faults.take("put_altered"):
            alter(operations.records.uploads / name)
        if faults.take("closes_after_put"):
            operations.calendar.close()
        return Response(status_code=200)

    @app.get("/uploads/{name}")
    def download(name: str, request: Request) -> Response:
        path = operations.records.stored(name) if _is_signed(operations, "GET", request) else None
        return FileResponse(path) if path else Response(status_code=403)


def _is_signed(operations: Operations, method: str, request: Request) -> bool:
    expires, mark = (request.query_params.get(f"X-Sandbox-{part}") for part in ("Expires", "Signature"))
    key = operations.records.data["signing"]
    return signature_allows(method, request.url.path, expires, mark, key, operations.clock())


def _add_switchboard(app: FastAPI, operations: Operations, faults: Faults) -> None:
    """Not part of Numerai's protocol: how a test looks into the sandbox and upsets it."""

    @app.get("/sandbox/status")
    def status() -> dict[str, Any]:
        current = operations.calendar.current()
        return {
            "files": operations.data.names(),
            "models": {name: identifier for identifier, name in operations.models.items()},
            "round": current["number"] if current else None,
            "round_spec": asdict(operations.calendar.spec),
            "faults": faults.arm({}),
        }

    @app.get("/sandbox/submissions")
    def submissions() -> list[dict[str, Any]]:
        return operations.submissions.received()

    @app.post("/sandbox/round", response_model=None)
    def set_round(change: dict[str, Any]) -> dict[str, Any] | Response:
        unknown = set(change) - {part.name for part in fields(RoundSpec)}
        if unknown or change.get("state", "open") not in ("open", "closed"):
            return JSONResponse({"error": f"unknown: {sorted(unknown) or change['state']}"}, status_code=422)
        operations.set_round(replace(operations.calendar.spec, **{"opens_in": 0.0, **change}))
        return status()

    @app.post("/sandbox/faults", response_model=None)
    def arm(counts: dict[str, int]) -> dict[str, Any] | Response:
        try:
            return faults.arm(counts)
        except KeyError as error:
            return JSONResponse({"error": f"no such fault: {error}; there are {Faults.names()}"}, status_code=422)
