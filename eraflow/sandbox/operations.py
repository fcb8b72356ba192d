"""What each operation of the protocol does."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from graphql import GraphQLError

from eraflow.sandbox.calendar import TOURNAMENT, Calendar, RoundSpec, iso
from eraflow.sandbox.datafolder import DataFolder
from eraflow.sandbox.diagnostics import diagnose
from eraflow.sandbox.livescores import ScoreBook, chosen_rows
from eraflow.sandbox.pickleruns import PickleRuns
from eraflow.sandbox.pickles import DOCKER_IMAGES, PickleRefused, Pickles, data_versions
from eraflow.sandbox.records import Records
from eraflow.sandbox.signing import signed
from eraflow.sandbox.submissions import STATE_SECONDS, Submissions

T = TypeVar("T")

ROUND_CLOSED = "Current round not open for submissions"
USERNAME = "sandbox"
_CREATED = "2020-01-01T00:00:00.000000Z"


class Operations:
    """The tournament behind the protocol: data, rounds, an account with models, and everything uploaded.

    Methods that answer an operation take graphql's `info`, whose context is the server's own address, and the
    operation's arguments by their names in the protocol.
    """

    def __init__(
        self,
        data: DataFolder,
        records: Records,
        round_spec: RoundSpec,
        models: Sequence[str],
        clock: Callable[[], float],
        rehearsals: Path | None = None,
    ) -> None:
        self.data, self.records, self.clock = data, records, clock
        self.scores = ScoreBook(data.folder, records.folder / "scores")
        self.runs = PickleRuns(records, data, rehearsals, self._file_prediction)
        self.calendar = Calendar(round_spec, clock)
        self.models = {str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/model/{name}")): name for name in models}

    @property
    def submissions(self) -> Submissions:
        """The submissions as they are now."""
        return Submissions(self.records, self.data, self.calendar, self.clock)

    @property
    def pickles(self) -> Pickles:
        """The pickles as they are now."""
        return Pickles(self.records, self.data.version, self.clock(), self.runs)

    def set_round(self, spec: RoundSpec) -> None:
        """Replace the round; its times count from now."""
        self.calendar = Calendar(spec, self.clock)

    def resolvers(self) -> Mapping[str, Any]:
        """Operation name -> what answers it."""
        table: dict[str, Any] = {
            "listDatasets": lambda info, **_: self.data.names(),
            "dataset": self._dataset,
            "rounds": self._rounds,
            "account": self._account,
            "accountProfile": self._account_profile,
            "model": lambda info, modelId=None: self._model(self._known(modelId)),
            "submissions": lambda info, id=None, modelId=None: self.submissions.of(modelId, id),
            "submissionUploadAuth": self._upload("submission", ".csv"),
            "submissionDownloadAuth": self._submission_download,
            "submissionScores": self._scores,
            "diagnosticsUploadAuth": self._upload("diagnostics", ".csv"),
            "diagnostics": self._diagnostics,
            "computePickleDataVersions": lambda info, **_: data_versions(self.data.version),
            "computePickleDockerImages": lambda info, **_: DOCKER_IMAGES,
            "computePickleUploadAuth": self._upload("pickle", ".pkl"),
            "computePickles": lambda info, id=None, modelId=None, unassigned=False: self.pickles.of(
                id, modelId, bool(unassigned)
            ),
            "triggerLogs": lambda info, triggerId: _or_refuse(lambda: self.pickles.logs(triggerId)),
            "pipelineStatus": self._pipeline,
            "createSubmission": self._create_submission,
            "createDiagnostics": self._create_diagnostics,
            "createComputePickleUpload": self._create_pickle,
            "assignPickleToModel": self._assign,
            "triggerComputePickleUpload": lambda info, modelId=None, pickleId=None, **_: _or_refuse(
                lambda: self.pickles.trigger(pickleId, modelId)
            ),
        }
        snake = {"submission_upload_auth": "submissionUploadAuth", "create_submission": "createSubmission"}
        return table | {old: table[new] for old, new in snake.items()}

    # --- public ---

    def _dataset(self, info: Any, filename: str, **_: Any) -> str:
        if self.data.path(filename) is None:
            raise GraphQLError(f"Dataset {filename} not found")
        return self._sign(info, "GET", f"/files/{filename}")

    def _rounds(
        self,
        info: Any,
        number: int | None = None,
        status: str | None = None,
        target: str | None = None,
        limit: int | None = None,
        **_: Any,
    ) -> list[dict[str, Any]]:
        if number == 0:
            current = self.calendar.current()
            if current is None:
                raise GraphQLError(ROUND_CLOSED)
            return [current]
        rows = self.calendar.rows(number=number, status=status, limit=limit)
        return [row for row in rows if target in (None, row["target"])]

    def _account_profile(self, info: Any, username: str, **_: Any) -> dict[str, Any] | None:
        if username != USERNAME:
            raise GraphQLError("Account not found")
        models = [
            {"id": identifier, "displayName": name, "username": name, "tournament": TOURNAMENT}
            for identifier, name in self.models.items()
        ]
        return {"id": USERNAME, "username": USERNAME, "models": models}

    def _scores(self, info: Any, modelId: str, tournament: int = TOURNAMENT, **chosen: Any) -> list[dict[str, Any]]:
        """What the selected submissions of a model have scored by now."""
        self._known(modelId)
        mine = [each for each in self.submissions.received() if each["model"] == modelId and each["selected"]]
        rows = [
            row for each in mine for row in self.scores.of(each, self.records.stored(each["filename"]), self.clock())
        ]
        return chosen_rows(rows, **chosen)

    def _pipeline(self, info: Any, tournament: str = "classic", **_: Any) -> dict[str, Any]:
        opened = self.calendar.row(self.calendar.spec.number)["openTime"]
        return {"dataReadyAt": opened, "startedAt": opened, "isScoringDay": True, "tournament": tournament}

    # --- the account ---

    def _account(self, info: Any) -> dict[str, Any]:
        return {
            "id": USERNAME,
            "username": USERNAME,
            "email": "sandbox@localhost",
            "walletAddress": None,
            "availableNmr": "0",
            "mfaEnabled": False,
            "status": "VERIFIED",
            "insertedAt": _CREATED,
            "models": [self._model(identifier) for identifier in self.models],
            "apiTokens": [],
        }

    def _model(self, identifier: str) -> dict[str, Any]:
        def pickle(info: Any) -> dict[str, Any] | None:
            assigned = self.pickles.assigned(identifier)
            return self.pickles.of(assigned, None, False)[0] if assigned else None

        name = self.models[identifier]
        return {
            "id": identifier,
            "name": name,
            "username": name,
            "tournament": TOURNAMENT,
            "insertedAt": _CREATED,
            "submissions": lambda info: self.submissions.of(identifier),
            "computePickleUpload": pickle,
            "v2Stake": None,
        }

    def _known(self, model: str | None) -> str:
        """A model id of the account; the only model when none is named."""
        if model is None and len(self.models) == 1:
            return next(iter(self.models))
        if model not in self.models:
            raise GraphQLError("Model not found" if model else "modelId is required: the account has several models")
        return model

    # --- uploads ---

    def _upload(self, kind: str, suffix: str) -> Callable[..., dict[str, str]]:
        def auth(info: Any, filename: str, modelId: str | None = None, **_: Any) -> dict[str, str]:
            if not filename.endswith(suffix):
                raise GraphQLError(f"File name must end in {suffix}")
            model = self._known(modelId) if kind != "pickle" or modelId else None
            if kind == "submission":
                self._refuse_pickled(model)
            stored = _unique(filename)
            with self.records.changing() as data:
                data["uploads"][stored] = {"kind": kind, "model": model, "at": self.clock()}
            return {"filename": stored, "url": self._sign(info, "PUT", f"/uploads/{stored}")}

        return auth

    def _create_submission(
        self,
        info: Any,
        filename: str,
        modelId: str | None = None,
        source: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        model = self._known(modelId)
        self._refuse_pickled(model)
        self._issued(filename, "submission", model)
        if self.calendar.current() is None:
            raise GraphQLError(ROUND_CLOSED)
        return self.submissions.create(filename, model, source)

    def _file_prediction(self, csv: Path, model: str, trigger: str) -> dict[str, Any]:
        """File what a run of an uploaded model has predicted; its submission."""
        if self.calendar.current() is None:
            raise PickleRefused(ROUND_CLOSED)
        name = _unique("predictions.csv")
        csv.replace(self.records.uploads / name)
        return self.submissions.create(name, model, "compute", trigger)

    def _submission_download(self, info: Any, id: str) -> dict[str, str]:
        found = self.submissions.of(identifier=id)
        if not found or self.records.stored(found[0]["filename"]) is None:
            raise GraphQLError("Submission not found")
        name = str(found[0]["filename"])
        return {"filename": name, "url": self._sign(info, "GET", f"/uploads/{name}")}

    def _create_diagnostics(self, info: Any, filename: str, modelId: str | None = None, **_: Any) -> dict[str, Any]:
        model = self._known(modelId)
        self._issued(filename, "diagnostics", model)
        result = diagnose(self.records.stored(filename), self.data)
        record = {"id": str(uuid.uuid4()), "model": model, "filename": filename, "at": self.clock(), "result": result}
        with self.records.changing() as data:
            data["diagnostics"].append(record)
        return self._shown_diagnostics(record)

    def _diagnostics(self, info: Any, id: str | None = None, modelId: str | None = None) -> list[dict[str, Any]]:
        if id is not None and (of_pickle := self.pickles.diagnostics(id)) is not None:
            return [of_pickle]
        with self.records.reading() as data:
            found = [
                record
                for record in data["diagnostics"]
                if id in (None, record["id"]) and modelId in (None, record["model"])
            ]
        return [self._shown_diagnostics(record) for record in reversed(found)]

    def _shown_diagnostics(self, record: dict[str, Any]) -> dict[str, Any]:
        at = float(record["at"])
        base = {"id": record["id"], "filename": record["filename"], "insertedAt": iso(at), "updatedAt": iso(at)}
        done = self.clock() - at >= STATE_SECONDS
        return base | (record["result"] if done else {"status": "pending", "perEraDiagnostics": []})

    def _create_pickle(
        self,
        info: Any,
        filename: str,
        modelId: str | None = None,
        dataVersionId: str | None = None,
        dockerImageId: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        model = self._known(modelId) if modelId else None
        self._issued(filename, "pickle", model)
        return _or_refuse(lambda: self.pickles.create(filename, model, dockerImageId, dataVersionId))

    def _assign(self, info: Any, modelId: str | None = None, pickleId: str | None = None) -> str:
        model = self._known(modelId)
        _or_refuse(lambda: self.pickles.assign(model, pickleId))
        return "true"

    def _issued(self, filename: str, kind: str, model: str | None) -> None:
        """Only names that this account was given for this purpose can be registered."""
        with self.records.reading() as data:
            known = data["uploads"].get(filename)
        if known is None or (known["kind"], known["model"]) != (kind, model):
            raise GraphQLError(f"Unknown filename {filename}: ask for an upload url first")

    def _refuse_pickled(self, model: str | None) -> None:
        if model is not None and self.pickles.assigned(model) is not None:
            raise GraphQLError("This model has an active pickle upload and takes no predictions: unassign it first")

    def _sign(self, info: Any, method: str, path: str) -> str:
        return signed(str(info.context), method, path, self.records.data["signing"], self.clock())


def _or_refuse(action: Callable[[], T]) -> T:
    """Run `action`; what it refuses becomes the API's error."""
    try:
        return action()
    except PickleRefused as refused:
        raise GraphQLError(str(refused)) from refused


def _unique(filename: str) -> str:
    """`predictions.csv` -> `predictions-1f0a9c2b7d3e.csv`; nothing that could leave the upload folder survives."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", Path(filename).name).lstrip(".") or "upload"
    path = Path(plain)
    return f"{path.stem[:80]}-{secrets.token_hex(6)}{path.suffix}"
