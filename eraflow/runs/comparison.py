"""Two runs of the same settings, compared file by file, and what may be the cause where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from eraflow.disk.jsonobject import read_object
from eraflow.machine.ledger import Ledger
from eraflow.runs.identity import data_files, identity
from eraflow.runs.stage import LEDGER, read_manifest
from eraflow.settings.run import RunSettings

State = Literal["identical", "different", "not there"]
ARTEFACTS = (
    ("features", "features", "*"),
    ("code of the features", "vae", "*"),
    ("folds", "train-*", "fold-*.parquet"),
    ("out of fold", "train-*", "oof.parquet"),
    ("weights", "train-*", "model/*"),
    ("blend out of fold", "blend", "oof.parquet"),
    ("ensemble", "blend", "ensemble/*"),
    ("prediction", "predict-live", "predictions.parquet"),
)
"""What is compared, in the order in which it is made: name, stages, files of their manifests."""
LEARNING = ("rate_factor", "clip_norm", "precision", "work_factor", "device")
"""Of a stage's plan, what may change what is learnt; see `eraflow.machine.plan.Plan`."""
LONGEST = 60
ORIGIN = {"git_commit": "commit", "python": "Python", "platform": "system", "cpu": "processor", "gpus": "set of GPUs"}


@dataclass(frozen=True)
class ArtefactComparison:
    """One kind of artefact of both runs.

    Attributes:
        name: as in `ARTEFACTS`, or submission.
        state: `not there` where one of the runs has none of it.
        files: how many were compared.
        differing: `stage/file` of those that differ or that only one run has.
    """

    name: str
    state: State
    files: int
    differing: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunComparison:
    """What two runs have in common.

    Attributes:
        artefacts: in the order in which they are made.
        causes: what differs between the runs that may be why, each a sentence; also told where nothing differs.
    """

    artefacts: tuple[ArtefactComparison, ...]
    causes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether all that both could have is there and the same."""
        return bool(self.artefacts) and all(one.state == "identical" for one in self.artefacts)

    @property
    def first(self) -> ArtefactComparison | None:
        """The first that is not identical: what comes after it is made from it."""
        return next((one for one in self.artefacts if one.state != "identical"), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "identical": self.identical,
            "artefacts": [asdict(one) for one in self.artefacts],
            "causes": list(self.causes),
        }


def compare_folders(original: Path, rebuilt: Path) -> RunComparison:
    """Compare what the manifests of two runs list, and the bytes of their submissions. Nothing is written."""
    found = [_artefact(original, rebuilt, *kind) for kind in ARTEFACTS]
    found.append(_submission(original, rebuilt))
    there = tuple(one for one in found if one is not None)
    return RunComparison(there, tuple(_causes(original, rebuilt)))


def _artefact(original: Path, rebuilt: Path, name: str, stages: str, pattern: str) -> ArtefactComparison | None:
    mine, theirs = (_hashes(run_dir, stages, pattern) for run_dir in (original, rebuilt))
    if not mine:
        return None
    return _compared(name, mine, theirs)


def _compared(name: str, mine: Mapping[str, str], theirs: Mapping[str, str]) -> ArtefactComparison:
    differing = tuple(sorted(file for file in mine.keys() | theirs.keys() if mine.get(file) != theirs.get(file)))
    state: State = "not there" if not theirs else "different" if differing else "identical"
    return ArtefactComparison(name, state, len(mine), differing)


def _hashes(run_dir: Path, stages: str, pattern: str) -> dict[str, str]:
    """`stage/file` -> sha256, as the manifests of finished stages have it."""
    found = {}
    for folder in sorted(path for path in run_dir.glob(stages) if path.is_dir()):
        record = read_manifest(folder)
        for file, entry in (record.files if record is not None else {}).items():
            if fnmatch(file, pattern):
                found[f"{folder.name}/{file}"] = entry.sha256
    return found


def _submission(original: Path, rebuilt: Path) -> ArtefactComparison | None:
    """The CSV of the run's own ensemble; where the champion was sent in its place there is nothing to compare."""
    mine, theirs = (_own_csv(run_dir) for run_dir in (original, rebuilt))
    return None if mine is None else _compared("submission", mine, theirs or {})


def _own_csv(run_dir: Path) -> dict[str, str] | None:
    record = read_manifest(run_dir / "blend")
    noted = read_object(run_dir / "submission" / "record.json")
    if record is None or noted is None or noted.get("ensemble_signature") != record.metrics.get("ensemble_signature"):
        return None
    return {"submission/submission.csv": str((noted.get("file") or {}).get("sha256"))}


def _causes(original: Path, rebuilt: Path) -> Iterator[str]:
    """What differs, in the order in which it is likely to be the cause."""
    files = [{name: told["sha256"] for name, told in data_files(run_dir).items()} for run_dir in (original, rebuilt)]
    changed = sorted(name for name in files[0].keys() | files[1].keys() if files[0].get(name) != files[1].get(name))
    if changed and all(files):
        yield f"the data differ: {', '.join(changed)}"
    if groups := _settings_that_differ(original, rebuilt):
        yield f"the settings differ: {', '.join(groups)}"
    mine, theirs = identity(original), identity(rebuilt)
    for name, words in ORIGIN.items():
        if mine[name] != theirs[name]:
            yield f"another {words}: {_plain(mine[name])}, now {_plain(theirs[name])}"
    dirty = [words for words, told in (("the run", mine), ("the rebuilt one", theirs)) if told["git_dirty"]]
    if dirty:
        yield f"the code had changes that no commit holds, of {' and of '.join(dirty)}"
    yield from _libraries(mine["libraries"] or {}, theirs["libraries"] or {})
    yield from _plans(original, rebuilt)
    for stage, why in {**mine["not_deterministic"], **theirs["not_deterministic"]}.items():
        yield f"{stage}: {why}"


def _settings_that_differ(original: Path, rebuilt: Path) -> list[str]:
    """Groups of the settings that decide what is learnt and predicted."""
    stored = [read_object(run_dir / "settings.json") or {} for run_dir in (original, rebuilt)]
    groups = ("seed", "data", "windows", "selection", "blend")
    return [name for name in groups if name in RunSettings.model_fields and stored[0].get(name) != stored[1].get(name)]


def _libraries(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if names:
        told = (f"{name} {mine.get(name, 'not installed')}, now {theirs.get(name, 'not installed')}" for name in names)
        yield f"other versions of libraries: {'; '.join(told)}"


def _plans(original: Path, rebuilt: Path) -> Iterator[str]:
    """Stages whose last attempt learnt by another plan, as answers to failures do it."""
    for folder in sorted(original.glob("train-*")):
        plans = [Ledger(run_dir / folder.name / LEDGER).last_plan for run_dir in (original, rebuilt)]
        if not all(plans):
            continue
        names = [name for name in LEARNING if plans[0].get(name) != plans[1].get(name)]
        if names:
            told = ", ".join(f"{name} {plans[0].get(name)}, now {plans[1].get(name)}" for name in names)
            yield f"{folder.name} was trained by another plan: {told}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)[:LONGEST]
