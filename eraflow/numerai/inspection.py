"""The stage that reads the files of a round before anything else does: every page of what is new, then the contract.

Foreign bytes are parsed by native code, which may abort the process that it runs in; so this is done in a child. A file
that is spoilt, or that the child dies of, is told by name: it can be fetched again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.data.catalog import Catalog, read_catalog
from eraflow.data.contractcheck import check_contract, check_live
from eraflow.data.datafiles import DataFiles
from eraflow.data.readable import MissingFileError, UnreadableFileError, told
from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError
from eraflow.machine.failures import StageError, classify
from eraflow.machine.job import How, as_json, stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.numerai.filecheck import verifier, verify_parquet
from eraflow.settings.data import DataSettings

NOW_READING = "now-reading"
"""In the stage's folder, while a file is decoded: its name, for whoever finds the child dead."""


class SpoiltFilesError(EraflowError):
    """Files of the round cannot be decoded. They are fetched again by themselves.

    Attributes:
        faults: name of each file and what is wrong with it.
    """

    code = "spoilt_files"
    faults: dict[str, str]

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = dict(faults)
        listed = "; ".join(f"{name}: {why}" for name, why in faults.items())
        super().__init__(f"damaged on the way or on this disk: {listed}", "run again: these files are fetched anew")


@dataclass(frozen=True, kw_only=True)
class RoundJob:
    """The files of a round, which are known by their checksums, and what is agreed about them.

    Attributes:
        data, auxiliary, residual: as for `check_contract`.
        files: all of them.
        fresh: name and path of each file whose pages nobody has decoded yet.
        proved: those of them that agree with a checksum of the server; an impossible value there is the server's own.
    """

    data: DataSettings
    auxiliary: tuple[str, ...] = ()
    residual: bool = False
    files: How[DataFiles]
    fresh: How[dict[str, Path]]
    proved: How[tuple[str, ...]] = ()


@dataclass(frozen=True)
class LiveJob:
    """The live file alone.

    Attributes:
        fresh: its name and path, where nobody has decoded it yet.
        live, features_json: paths, where it is to be what a run needs that has learnt already.
        features: those of that run.
    """

    fresh: How[dict[str, Path]]
    live: How[Path | None] = None
    features_json: How[Path | None] = None
    features: tuple[str, ...] = ()


@stage_function(RoundJob)
def inspect_round(job: RoundJob, out: Path, _: Plan) -> dict[str, Any]:
    """Decode what was not decoded before, a few columns of a row group at a time, then check the contract.

    Returns:
        The contract.

    Raises:
        SpoiltFilesError: naming every file of `fresh` that cannot be decoded.
        EraflowError: see `check_contract`.
    """
    catalog = _catalog(job.files.features_json)
    codes = _codes(catalog, job.data)
    decode(out, job.fresh, {name: codes for name in job.fresh if name not in job.proved})
    if isinstance(catalog, EraflowError):
        raise catalog
    contract = check_contract(job.files, job.data, catalog, auxiliary=job.auxiliary, residual=job.residual)
    return {"contract": as_json(contract)}


@stage_function(LiveJob)
def inspect_live(job: LiveJob, out: Path, _: Plan) -> dict[str, Any]:
    """Decode the live file alone, for the champion or for a run that has learnt already.

    Returns:
        Its rows, where it was decoded now, and its era, where a run needs it.

    Raises:
        SpoiltFilesError: it cannot be decoded.
        EraflowError: it is not what the run needs, see `check_live`.
    """
    rows = sum(decode(out, job.fresh, dict.fromkeys(job.fresh, ())))
    if job.live is None or job.features_json is None:
        return {"rows": rows}
    index = check_live(job.live, job.features, read_catalog(job.features_json))
    return {"rows": rows, "era": index.eras[0] if index.eras else None}


def decode(out: Path, fresh: Mapping[str, Path | str], codes: Mapping[str, Collection[str]]) -> list[int]:
    """Decode every page of the files; returns the rows of each parquet file.

    Args:
        out: folder of the stage.
        fresh: name and path of each file.
        codes: name of a file that no checksum speaks for -> columns that hold nothing but 0 to 4 and missing values.

    Raises:
        SpoiltFilesError: naming those that cannot be decoded.
        StageOutOfMemory, UnreadableFileError: their bytes are not to blame.
    """
    faults: dict[str, str] = {}
    rows: list[int] = []
    for number, (name, path) in enumerate(fresh.items()):
        report(number, len(fresh), f"files decoded, now {name}")
        write_text(out / NOW_READING, name)
        try:
            if name.endswith(".parquet"):
                rows.append(verify_parquet(Path(path), codes.get(name)))
            else:
                verifier(name)(Path(path))
        except Exception as error:
            if isinstance(error, StageError | UnreadableFileError | MissingFileError) or classify(error) != "error":
                raise
            faults[name] = (
                error.problem if isinstance(error, EraflowError) else f"{type(error).__name__}: {told(error)}"
            )
    (out / NOW_READING).unlink(missing_ok=True)
    if faults:
        raise SpoiltFilesError(faults)
    return rows


def _catalog(path: Path) -> Catalog | EraflowError:
    """The catalog, or what is wrong with it: a file that was damaged on the way is to be named as that first."""
    try:
        return read_catalog(path)
    except EraflowError as error:
        return error


def _codes(catalog: Catalog | EraflowError, data: DataSettings) -> frozenset[str]:
    """The features of the run; none where they cannot be told, which the contract will name."""
    try:
        return frozenset() if isinstance(catalog, EraflowError) else frozenset(catalog.features(data.features))
    except EraflowError:
        return frozenset()
