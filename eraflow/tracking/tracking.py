"""MLflow records of a week: a run for each model and one for the ensemble.

The store is an SQLite file in the home folder with the artifacts in a folder beside it; no server and no network is
needed. `eraflow ui --mlflow` shows it. Another artifact root (`tracking.artifacts`) has an experiment of its own, named
after it, because MLflow keeps the place of an experiment's files for good. A stage that is resumed under the same
signature finds its finished MLflow run again and adds nothing to it.
"""

from __future__ import annotations

import getpass
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from eraflow.disk.atomic import storage_errors
from eraflow.disk.sqliteurl import sqlite_url
from eraflow.runs.provenance import provenance
from eraflow.settings.tracking import STORES, TrackingSettings
from eraflow.tracking.artifactstore import check_store
from eraflow.tracking.mlflowlink import MlflowLink, TrackingError
from eraflow.tracking.relocation import ROOT_TAG, relocate
from eraflow.tracking.trackingtext import as_tags, flatten, text_params

DATABASE = "mlflow.db"
TURN = ".mlflow.turn"
ARTIFACTS = "mlartifacts"
CURVE = "curve"
CUMULATIVE = "cumulative/"
PER_ERA = "per_era/"  # MLflow draws the metrics before a slash as one group
METRICS_PER_CALL = 1000  # MLflow's limits: mlflow.utils.validation.MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH
PARAMS_PER_CALL = 100

RunKind = Literal["model", "ensemble", "search", "live"]


@dataclass(frozen=True)
class ChildRun:
    """A small finished run below another one, such as a trial of a search.

    Attributes:
        name: shown in MLflow's table.
        kind: for the tag of that name.
        params, metrics: nested settings and single figures; None, NaN and infinite figures are left out.
        curve: a metric by step, as `curve`; empty for none.
        tags: others; None values are left out.
        status: how it ended, in MLflow's words.
    """

    name: str
    kind: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    curve: Mapping[int, float] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    status: Literal["FINISHED", "KILLED", "FAILED"] = "FINISHED"


class TrackedRun:
    """One MLflow run that is being written. When `reused`, it is finished already and every call leaves it as it is."""

    def __init__(self, link: MlflowLink, run_id: str, *, reused: bool = False) -> None:
        self.run_id = run_id
        self.reused = reused
        self._link = link

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Nested settings as flat parameters (`windows.folds`, `models.0.kind`). Long values are cut, and say so."""
        if self.reused:
            return
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in text_params(flatten(settings)).items()]
        for part in _parts(params, PARAMS_PER_CALL):
            self._link.call("log_batch", self.run_id, params=part)

    def log_metrics(self, metrics: Mapping[str, float | None], model_id: str | None = None) -> None:
        """Single figures. None, NaN and infinite ones are left out: MLflow would show them as very large numbers.

        With `model_id` they are those of that logged model, too.
        """
        finite = {name: float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)}
        self._log_points([(name, value, 0) for name, value in finite.items()], model_id)

    def log_per_era(self, metric: str, eras: Sequence[str], values: Sequence[float]) -> None:
        """A metric by era, as `per_era/METRIC` with the era number as step, and its sum so far as `cumulative/METRIC`.

        Eras whose value is NaN are left out.

        Args:
            metric: such as `corr`.
            eras: labels as in the data files.
            values: as many figures.
        """
        if len(eras) != len(values):
            raise TrackingError(f"{metric}: {len(eras)} eras but {len(values)} values", "report this as a bug")
        known = [(int(era), float(value)) for era, value in zip(eras, values, strict=True) if math.isfinite(value)]
        sums = accumulate(value for _, value in known)
        points = [(PER_ERA + metric, value, era) for era, value in known]
        points += [(CUMULATIVE + metric, total, era) for (era, _), total in zip(known, sums, strict=True)]
        self._log_points(points)

    def log_steps(self, metric: str, points: Sequence[tuple[int, float]]) -> None:
        """A metric over steps, as (step, value); values that are not finite are left out."""
        self._log_points([(metric, float(value), step) for step, value in points if math.isfinite(value)])

    def log_files(self, source: Path | Sequence[Path], folder: str | None = None) -> None:
        """Copy files, or the content of a folder, to the run's artifacts.

        Args:
            source: a folder, a file, or several of either.
            folder: where among the artifacts; None is the top.
        """
        if self.reused:
            return
        for path in [source] if isinstance(source, Path) else list(source):
            if not path.exists():
                raise TrackingError(f"{path} is not there, so it cannot be recorded", "run the stage that makes it")
            method = "log_artifacts" if path.is_dir() else "log_artifact"
            self._link.call(method, self.run_id, str(path), artifact_path=folder)

    def _log_points(self, points: Sequence[tuple[str, float, int]], model_id: str | None = None) -> None:
        if self.reused:
            return
        from mlflow.entities import Metric

        now = _milliseconds()
        metrics = [Metric(name, value, now, step, model_id=model_id) for name, value, step in points]
        for part in _parts(metrics, METRICS_PER_CALL):
            self._link.call("log_batch", self.run_id, metrics=part)


class Tracker:
    """The MLflow store of a home folder. Making one costs nothing; the first call imports MLflow.

    Args:
        home: the home folder; holds `mlflow.db` and `mlartifacts/` unless the settings name a server.
        settings: address, experiment and registered model.
    """

    def __init__(self, home: Path, settings: TrackingSettings) -> None:
        self.home = Path(home).expanduser().resolve()
        self.settings = settings
        self.uri = settings.uri or sqlite_url(self.home / DATABASE)
        self.link = MlflowLink(self.uri, turn=self.home / TURN if self.is_local else None)
        self.experiment = settings.experiment
        if settings.artifacts is not None:
            self.experiment = f"{settings.experiment}, {settings.artifacts}"
        self._experiment_id: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether the store is the SQLite file of the home folder."""
        return self.settings.uri is None

    def exists(self) -> bool:
        """Whether anything can have been recorded: false for a home folder without a database yet."""
        return not self.is_local or (self.home / DATABASE).exists()

    @contextmanager
    def run(
        self,
        name: str,
        kind: RunKind = "model",
        tags: Mapping[str, Any] | None = None,
        parent_run_id: str | None = None,
    ) -> Iterator[TrackedRun]:
        """A run to write to; finished when the block ends well, failed when it raises.

        Git commit and library versions are added to the tags. With a tag `signature`, the finished run of the same kind
        and signature is given back, if there is one, with `reused` set.

        Args:
            name: shown in MLflow's table.
            kind: `model`, `ensemble`, `search` or `live`.
            tags: run_dir, signature, data_signature, round and the like; None values are left out.
            parent_run_id: nests the run under another one.

        Raises:
            TrackingError: MLflow cannot be written. Errors of the block itself pass through unchanged.
        """
        signature = (tags or {}).get("signature")
        done = self.finished_run(kind, str(signature)) if signature else None
        if done is not None:
            yield TrackedRun(self.link, done, reused=True)
            return
        run_id = self._create(name, kind, tags or {}, parent_run_id)
        try:
            yield TrackedRun(self.link, run_id)
        except BaseException as error:
            self._end_failed(run_id, error)
            raise
        self.link.call("set_terminated", run_id, "FINISHED")

    def log_children(self, parent: TrackedRun, children: Sequence[ChildRun]) -> None:
        """Write finished runs below `parent`, three calls each; nothing when the parent is reused.

        Raises:
            TrackingError: MLflow cannot be written; what is written by then stays.
        """
        if parent.reused:
            return
        from mlflow.entities import Metric, Param

        for child in children:
            tags = {**child.tags, "kind": child.kind, "mlflow.parentRunId": parent.run_id, "mlflow.user": _user()}
            run_id = str(
                self.link.call("create_run", self.experiment_id(), tags=as_tags(tags), run_name=child.name).info.run_id
            )
            now = _milliseconds()
            points = [(name, value, 0) for name, value in child.metrics.items()]
            points += [(CURVE, value, step) for step, value in child.curve.items()]
            metrics = [
                Metric(name, float(value), now, step)
                for name, value, step in points
                if value is not None and math.isfinite(value)
            ]
            params = [Param(key, value) for key, value in text_params(flatten(child.params)).items()]
            self.link.call("log_batch", run_id, metrics=metrics[:METRICS_PER_CALL], params=params[:PARAMS_PER_CALL])
            self.link.call("set_terminated", run_id, child.status)

    def finished_run(self, kind: RunKind, signature: str) -> str | None:
        """The id of the finished run with this kind and signature; None when there is none.

        Runs of the same signature that a dead process left unfinished are marked as killed on the way.
        """
        finished = None
        for found in self._search({"kind": kind, "signature": signature}):
            if found.info.status == "FINISHED":
                finished = finished or str(found.info.run_id)
            elif found.info.status == "RUNNING":
                self.link.call("set_terminated", found.info.run_id, "KILLED")
        return finished

    def _search(self, tags: Mapping[str, str]) -> list[Any]:
        terms = [f"tags.{key} = '{value}'" for key, value in tags.items()]
        if any("'" in value for value in tags.values()):
            raise TrackingError(f"a tag to search for holds a quote: {dict(tags)}", "report this as a bug")
        return list(self.link.call("search_runs", [self.experiment_id()], " and ".join(terms)))

    def _create(self, name: str, kind: str, tags: Mapping[str, Any], parent_run_id: str | None) -> str:
        origin = provenance()
        given = {
            **{f"library.{library}": version for library, version in origin.pop("libraries").items()},
            **origin,
            **tags,
            "kind": kind,
            "mlflow.parentRunId": parent_run_id,
            "mlflow.source.name": "eraflow",
            "mlflow.user": _user(),
        }
        given["mlflow.source.git.commit"] = given.get("git_commit")
        created = self.link.call("create_run", self.experiment_id(), tags=as_tags(given), run_name=name)
        return str(created.info.run_id)

    def _end_failed(self, run_id: str, error: BaseException) -> None:
        try:
            self.link.call("set_terminated", run_id, "FAILED")
        except TrackingError as second:  # the first error is the one that matters
            error.add_note(f"MLflow run {run_id} could not be marked as failed: {second}")

    def experiment_id(self) -> str:
        """The id of the settings' experiment, made (or brought back from MLflow's bin) when needed."""
        if self._experiment_id is None:
            self._experiment_id = self._find_experiment() or self._create_experiment()
        return self._experiment_id

    def check_store(self) -> None:
        """Ask the store that the files of new runs go to whether it can be used.

        Raises:
            StoreError: it cannot, by the name of what is wrong.
        """
        root = self._root()
        if root is not None:
            check_store(root, writes=True)

    def _root(self) -> str | None:
        """The address that the files of new runs go to; None where a tracking server decides."""
        named = self.settings.artifacts
        if named is not None:
            return named if named.partition("://")[0] in STORES else Path(named).as_uri()
        return (self.home / ARTIFACTS).as_uri() if self.is_local else None

    def _find_experiment(self) -> str | None:
        if self.is_local:
            with storage_errors(self.home):
                self.home.mkdir(parents=True, exist_ok=True)
            self.link.with_retries("relocate", lambda: relocate(self.home / DATABASE, self.home / ARTIFACTS))
        found = self.link.call("get_experiment_by_name", self.experiment)
        if found is None:
            return None
        if found.lifecycle_stage != "active":
            self.link.call("restore_experiment", found.experiment_id)
        return str(found.experiment_id)

    def _create_experiment(self) -> str:
        root, tags = self._root(), None if self.settings.artifacts is None else {ROOT_TAG: self.settings.artifacts}
        try:
            return str(self.link.call("create_experiment", self.experiment, artifact_location=root, tags=tags))
        except TrackingError:
            found = self._find_experiment()  # another process may have been faster
            if found is None:
                raise
            return found


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        return "unknown"
