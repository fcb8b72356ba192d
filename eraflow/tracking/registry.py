"""The shipped ensemble as a version in MLflow's model registry. A champion has a seat: source, slot and target.

The alias `champion-SEAT` names the one that was last shipped for a seat, so that two slots, targets or sources never
take each other's place; `champion` names the one that was last shipped for any, for people.

A version is the ensemble's folder as plain artifacts with a sha256 manifest. It is not one of MLflow's own model
formats on purpose: those need MLflow and pandas to load, guess package requirements, and would make this room know the
models.

    artifacts of the ensemble's run
      shipped-<hash of the manifest>/ensemble/...   what `load_champion` brings back
      shipped-<hash of the manifest>/evidence/...   scores.json, verdict.json, oof.parquet, as given
      shipped-<hash of the manifest>/manifest.json  sha256 and size of all of them

Order of writing: files, manifest, version, its tag `files`, alias. Files that an alias can reach are never written
again, so whatever dies in between, the alias names a complete version.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.disk.digest import value_sha256
from eraflow.tracking.championseat import SEAT_TAG, Seat
from eraflow.tracking.filemanifest import MANIFEST, FileMark, damage, manifest_values, marks_of
from eraflow.tracking.mlflowlink import NothingThereError, TrackingError
from eraflow.tracking.shippedfiles import PLACE_TAG, fetch, keep_only, part_marks, put_in_place, recorded, refuse_damage
from eraflow.tracking.shippedfiles import ChampionDamagedError as ChampionDamagedError
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.trackingtext import as_tags

ALIAS = "champion"
ENSEMBLE = "ensemble"
EVIDENCE = "evidence"


@dataclass(frozen=True)
class Version:
    """A version in the registry.

    Attributes:
        number: counts from 1.
        model: name of the registered model.
        signature: of the ensemble.
        run_id: the MLflow run that holds the files.
        reused: whether the same signature was registered before.
    """

    number: int
    model: str
    signature: str
    run_id: str
    reused: bool


@dataclass(frozen=True)
class Champion:
    """The ensemble last shipped.

    Attributes:
        version: its number in the registry.
        signature: of the ensemble.
        round_number: the round it was shipped for; None when that was not recorded.
        target: what it predicts; None when that was not recorded.
        created_at: when it was registered, ISO 8601, UTC.
        run_id: its MLflow run.
        tags: everything that was recorded with the version.
        seat: what it is the champion of; None for one that was registered without a seat.
        scores: the JSON of its out-of-fold scores; None when none were given.
        verdict: the JSON of the verdict it was shipped under; None when none was given.
        oof: its out-of-fold predictions as a parquet file; None when none were given.
    """

    version: int
    signature: str
    round_number: int | None
    target: str | None
    created_at: str
    run_id: str
    tags: dict[str, str]
    scores: dict[str, Any] | None
    verdict: dict[str, Any] | None
    oof: Path | None
    seat: Seat | None = None


def register_champion(
    tracker: Tracker,
    ensemble_folder: Path,
    run_id: str,
    tags: Mapping[str, Any],
    *,
    seat: Seat | None = None,
    scores: Path | None = None,
    verdict: Path | None = None,
    oof: Path | None = None,
) -> Version:
    """Make an ensemble the champion of a seat. The same signature twice in one seat is the same version.

    Args:
        tracker: the MLflow store.
        ensemble_folder: holds ensemble.json and models/.
        run_id: the ensemble's MLflow run, which receives the files.
        tags: `signature` is needed; round, target, run_dir and the like are kept with the version.
        seat: whose champion it becomes; None: only the last one shipped.
        scores: JSON file of the out-of-fold scores, for the comparison with the next challenger.
        verdict: JSON file of the verdict it is shipped under.
        oof: parquet file of the blend's out-of-fold predictions.

    Raises:
        TrackingError: something is missing, or MLflow cannot be written. The champion is then the one before.
    """
    signature = str(tags.get("signature") or "")
    if not signature.isalnum():
        raise TrackingError(f"an ensemble needs a plain signature, found {signature!r}", "pass tags={'signature': ...}")
    if not ensemble_folder.is_dir() or not any(ensemble_folder.iterdir()):
        raise TrackingError(f"{ensemble_folder} holds no ensemble", "run the blend stage first")
    evidence = {"scores.json": scores, "verdict.json": verdict, "oof.parquet": oof}
    tags = {**tags, **(seat.tags if seat is not None else {})}
    found = _version_of(tracker, signature, seat)
    holder = str(found.run_id) if found else run_id
    place = _upload(tracker, holder, signature, ensemble_folder, evidence)
    number = int(found.version) if found else _create_version(tracker, run_id, place, tags)
    name = tracker.settings.registered_model
    for key, value in (as_tags(tags) | {PLACE_TAG: place}).items():
        tracker.link.call("set_model_version_tag", name, str(number), key, value)
    for alias in (seat.alias, ALIAS) if seat is not None else (ALIAS,):
        tracker.link.call("set_registered_model_alias", name, alias, str(number))
    return Version(number, name, signature, holder, found is not None)


def load_champion(tracker: Tracker, destination: Path, seat: Seat | None = None) -> Path | None:
    """Bring the champion's ensemble folder to `destination`, byte for byte as it was shipped.

    A folder that is there already is kept when it is the champion, and replaced when it is not.

    Returns:
        `destination`, or None when there is no champion.

    Raises:
        ChampionDamagedError: a file is missing or differs from the manifest; `destination` is as before.
    """
    found = _champion_version(tracker, seat)
    if found is None:
        return None
    marks = part_marks(tracker, found, ENSEMBLE)
    if destination.is_dir() and damage(destination, marks, exactly=True) is None:
        return destination
    with storage_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".champion.") as scratch:
            folder = fetch(tracker, found, ENSEMBLE, Path(scratch))
            refuse_damage(folder, marks, found)
            keep_only(folder, marks)
            put_in_place(folder, destination)
    return destination


def champion_info(tracker: Tracker, seat: Seat | None = None) -> Champion | None:
    """What is known of the champion of a seat, or of the last one shipped for any; None when there is none.

    Raises:
        ChampionDamagedError: its scores, verdict or predictions are not those that were recorded.
    """
    found = _champion_version(tracker, seat)
    if found is None:
        return None
    marks = part_marks(tracker, found, EVIDENCE)
    folder = _evidence_folder(tracker, found) if marks else tracker.home
    refuse_damage(folder, marks, found)
    tags = dict(found.tags)
    return Champion(
        version=int(found.version),
        signature=recorded(found, "signature"),
        round_number=int(tags["round"]) if tags.get("round", "").isdigit() else None,
        target=tags.get("target"),
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        run_id=str(found.run_id),
        tags=tags,
        scores=json.loads((folder / "scores.json").read_text()) if "scores.json" in marks else None,
        verdict=json.loads((folder / "verdict.json").read_text()) if "verdict.json" in marks else None,
        oof=folder / "oof.parquet" if "oof.parquet" in marks else None,
        seat=Seat.of_tags(tags),
    )


def seats(tracker: Tracker) -> list[tuple[Seat, int, str]]:
    """Every seat that has a champion: the seat, its version and its round (empty when not recorded), by version."""
    aliases, found = _aliases(tracker), {}
    name = tracker.settings.registered_model
    versions = tracker.link.call("search_model_versions", f"name = '{name}'") if aliases else []
    for version in sorted(versions, key=lambda each: int(each.version)):
        tags = dict(version.tags)
        seat = Seat.of_tags(tags)
        if seat is not None and str(aliases.get(seat.alias)) == str(version.version):
            found[seat] = (seat, int(version.version), tags.get("round", ""))
    return list(found.values())


def _upload(tracker: Tracker, run_id: str, signature: str, ensemble: Path, evidence: Mapping[str, Path | None]) -> str:
    """Send the files, unless the same ones lie there whole already; returns the artifact folder they lie in."""
    with tempfile.TemporaryDirectory() as scratch:
        copies = _copies(evidence, Path(scratch) / EVIDENCE)
        marks = {f"{ENSEMBLE}/{name}": mark for name, mark in marks_of(ensemble).items()}
        marks |= {f"{EVIDENCE}/{name}": mark for name, mark in marks_of(copies).items()}
        values = manifest_values(signature, marks)
        place = f"shipped-{value_sha256(values)[:16]}"
        if not _is_whole(tracker, run_id, place, marks):
            tracker.link.call("log_artifacts", run_id, str(ensemble), artifact_path=f"{place}/{ENSEMBLE}")
            tracker.link.call("log_artifacts", run_id, str(copies), artifact_path=f"{place}/{EVIDENCE}")
            manifest = write_json(Path(scratch) / MANIFEST, values)
            tracker.link.call("log_artifact", run_id, str(manifest), artifact_path=place)
    return place


def _copies(evidence: Mapping[str, Path | None], folder: Path) -> Path:
    folder.mkdir()
    for name, path in evidence.items():
        if path is not None and not path.is_file():
            raise TrackingError(f"{path} is not there, so it cannot go with the champion", "run the backtest first")
        if path is not None:
            shutil.copyfile(path, folder / name)
    return folder


def _is_whole(tracker: Tracker, run_id: str, place: str, marks: Mapping[str, FileMark]) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = Path(tracker.link.call("download_artifacts", run_id, place, scratch))
        except TrackingError:
            return False
        return (folder / MANIFEST).is_file() and damage(folder, marks) is None


def _create_version(tracker: Tracker, run_id: str, place: str, tags: Mapping[str, Any]) -> int:
    name = tracker.settings.registered_model
    try:
        tracker.link.call("get_registered_model", name)
    except NothingThereError:
        tracker.link.call("create_registered_model", name, description="Ensembles shipped by Eraflow")
    run = tracker.link.call("get_run", run_id)
    model = _logged_model(run)
    with tracker.link.as_default():
        created = tracker.link.call(
            "create_model_version",
            name,
            f"models:/{model}" if model else f"{run.info.artifact_uri}/{place}",
            run_id,
            tags=as_tags(tags) | {PLACE_TAG: place},
            description=f"round {tags.get('round', 'unknown')}, target {tags.get('target', 'unknown')}",
            model_id=model,
        )
    return int(created.version)


def _logged_model(run: Any) -> str | None:
    """The run's model, on whose page MLflow shows the files of a version."""
    models = run.outputs.model_outputs if run.outputs else []
    return str(models[0].model_id) if models else None


def _version_of(tracker: Tracker, signature: str, seat: Seat | None) -> Any:
    """The version of this ensemble in this seat: its tags and its verdict are those of the seat alone."""
    name = tracker.settings.registered_model
    tracker.experiment_id()  # makes the home and corrects the addresses of a moved one
    found = tracker.link.call("search_model_versions", f"name = '{name}' and tag.signature = '{signature}'")
    wanted = None if seat is None else seat.key
    return next((version for version in found if dict(version.tags).get(SEAT_TAG) == wanted), None)


def _aliases(tracker: Tracker) -> dict[str, Any]:
    if not tracker.exists():
        return {}
    tracker.experiment_id()
    try:
        return dict(tracker.link.call("get_registered_model", tracker.settings.registered_model).aliases)
    except NothingThereError:
        return {}


def _champion_version(tracker: Tracker, seat: Seat | None) -> Any:
    number = _aliases(tracker).get(ALIAS if seat is None else seat.alias)
    if number is None:
        return None
    return tracker.link.call("get_model_version", tracker.settings.registered_model, number)


def _evidence_folder(tracker: Tracker, found: Any) -> Path:
    """Where the evidence can be read: a copy in the home folder, by version."""
    place = tracker.home / "champion" / f"v{found.version}-{recorded(found, PLACE_TAG)}"
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    return fetch(tracker, found, EVIDENCE, place)
