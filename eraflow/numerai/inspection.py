"""The stage that reads the files of a round before anything else does: every page of what is new, then the contract.

Foreign bytes are parsed by native code, which may abort the process that it runs in; so this is done in a child. A file
that is spoilt, or that the child dies of, is told by name: it can be fetched again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from eraflow.data.catalog import read_catalog
from eraflow.data.contractcheck import check_contract
from eraflow.data.datafiles import DataFiles
from eraflow.data.readable import MissingFileError, UnreadableFileError, told
from eraflow.disk.atomic import write_text
from eraflow.errors import EraflowError
from eraflow.machine.failures import StageError, classify
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


def inspect_round(
    *,
    out: str,
    fresh: Mapping[str, str],
    proved: Sequence[str],
    files: Mapping[str, str | None],
    data: Mapping[str, Any],
    auxiliary: Sequence[str],
    residual: bool,
    plan: Mapping[str, Any],
) -> dict[str, Any]:
    """Decode what was not decoded before, a few columns of a row group at a time, then check the contract.

    Args:
        out: folder of the stage.
        fresh: name and path of each file whose pages nobody has decoded yet.
        proved: those of them that agree with a checksum of the server; an impossible value there is the server's own.
        files: all files of the round; see `DataFiles.as_dict`.
        data, auxiliary, residual: as for `check_contract`.
        plan: a Plan as a dictionary.

    Returns:
        The contract.

    Raises:
        SpoiltFilesError: naming every file of `fresh` that cannot be decoded.
        EraflowError: see `check_contract`.
    """
    settings = DataSettings.model_validate(data)
    codes = _codes(files, settings)
    decode(Path(out), fresh, {name: codes for name in fresh if name not in proved})
    contract = check_contract(DataFiles.from_dict(files), settings, auxiliary=auxiliary, residual=residual)
    return {"contract": contract.as_dict()}


def inspect_live(*, out: str, fresh: Mapping[str, str], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the live file alone, for a prediction with the champion; returns its rows.

    Raises:
        SpoiltFilesError: it cannot be decoded.
    """
    return {"rows": sum(decode(Path(out), fresh, dict.fromkeys(fresh, ())))}


def decode(out: Path, fresh: Mapping[str, str], codes: Mapping[str, Collection[str]]) -> list[int]:
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


def _codes(files: Mapping[str, str | None], data: DataSettings) -> frozenset[str]:
    """The features of the run; none where features.json cannot be read, which the contract will name."""
    try:
        return frozenset(read_catalog(str(files["features_json"])).features(data.features))
    except EraflowError:
        return frozenset()
