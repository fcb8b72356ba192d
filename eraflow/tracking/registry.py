"""The shipped ensemble as a version in MLflow's model registry. A champion has a seat: source, slot and target.

The alias `champion-SEAT` names the one that was last shipped for a seat, so that two slots, targets or sources never
take each other's place; `champion` names the one that was last shipped for any, for people.

A version is the ensemble's folder as plain artifacts with a sha256 manifest. What Eraflow reads back is not one of
MLflow's own model formats on purpose: those need MLflow and pandas to load, and would make this room know the models.

    artifacts of the ensemble's run
      shipped-<hash of the manifest>/ensemble/...   what `load_champion` brings back
      shipped-<hash of the manifest>/evidence/...   scores.json, verdict.json, oof.parquet, as given
      shipped-<hash of the manifest>/manifest.json  sha256 and size of all of them

Order of writing: files, manifest, version, its tag `files`, alias. Files that an alias can reach are never written
again, so whatever dies in between, the alias names a complete version. The tag holds the hash of the manifest: what
was changed in the store, manifest and all, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eraflow.disk.digest import value_sha256
from eraflow.disk.jsonobject import read_object
from eraflow.tracking.championcopy import evidence_here, marks_here, put_part
from eraflow.tracking.championseat import CHAMPION, SEAT_TAG, Seat
from eraflow.tracking.filemanifest import damage, marks_of
from eraflow.tracking.mlflowlink import NothingThereError, TrackingError
from eraflow.tracking.shippedfiles import ENSEMBLE, EVIDENCE, PLACE_TAG, recorded, send
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.trackingtext import as_tags
from eraflow.tracking.versions import shipped

ALIAS = CHAMPION


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
    becomes_champion: bool = True,
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
        becomes_champion: False: it is a version and no more, which a person may make champion or challenger.

    Raises:
        StoreError: the store of the files cannot be used, by the name of what is wrong.
        TrackingError: something is missing, or MLflow cannot be written. The champion is then the one before.
    """
    signature = str(tags.get("signature") or "")
    if not signature.isalnum():
        raise TrackingError(f"an ensemble needs a plain signature, found {signature!r}", "pass tags={'signature': ...}")
    if not ensemble_folder.is_dir() or not any(ensemble_folder.iterdir()):
        raise TrackingError(f"{ensemble_folder} holds no ensemble", "run the blend stage first")
    evidence = {"scores.json": scores, "verdict.json": verdict, "oof.parquet": oof}
    told = _told(ensemble_folder, scores, verdict)
    tags = {**told, **tags, **(seat.tags if seat is not None else {})}
    found = _version_of(tracker, signature, seat)
    holder = str(found.run_id) if found else run_id
    tracker.check_store()
    place = send(tracker, holder, signature, ensemble_folder, evidence)
    number = int(found.version) if found else _create_version(tracker, run_id, place, tags)
    name = tracker.settings.registered_model
    for key, value in (as_tags(tags) | {PLACE_TAG: place}).items():
        tracker.link.call("set_model_version_tag", name, str(number), key, value)
    if becomes_champion:
        shipped(tracker, number, seat)
    return Version(number, name, signature, holder, found is not None)


def _told(ensemble: Path, scores: Path | None, verdict: Path | None) -> dict[str, Any]:
    """What a list of versions tells of each, so that it needs no files: hash, verdict, payout of the blend."""
    judged = read_object(verdict) if verdict is not None else None
    payout = ((read_object(scores) if scores is not None else None) or {}).get("blend", {})
    mean = payout.get("summary", {}).get("payout", {}) if isinstance(payout, dict) else {}
    return {
        "weights_sha256": value_sha256({name: mark.sha256 for name, mark in marks_of(ensemble).items()}),
        "verdict": None if judged is None else "passed" if judged.get("passed") is True else "blocked",
        "payout": mean.get("mean") if isinstance(mean, dict) else None,
    }


def load_champion(tracker: Tracker, destination: Path, seat: Seat | None = None) -> Path | None:
    """Bring the champion's ensemble folder to `destination`, byte for byte as it was shipped.

    A folder that is there already is kept when it is the champion, and replaced when it is not.

    Returns:
        `destination`, or None when there is no champion.

    Raises:
        ChampionDamagedError: a file is missing or differs from what was registered; `destination` is as before.
        StoreError: the store of its files cannot be read, and they are not here yet.
    """
    found = _champion_version(tracker, seat)
    if found is None:
        return None
    marks = marks_here(tracker, found, ENSEMBLE)
    if not destination.is_dir() or damage(destination, marks, exactly=True) is not None:
        put_part(tracker, found, ENSEMBLE, marks, destination)
    return destination


def champion_info(tracker: Tracker, seat: Seat | None = None) -> Champion | None:
    """What is known of the champion of a seat, or of the last one shipped for any; None when there is none.

    Raises:
        ChampionDamagedError: its scores, verdict or predictions are not those that were recorded.
        StoreError: the store of its files cannot be read, and they are not here yet.
    """
    found = _champion_version(tracker, seat)
    if found is None:
        return None
    marks = marks_here(tracker, found, EVIDENCE)
    folder = evidence_here(tracker, found, marks)
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
