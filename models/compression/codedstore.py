"""An era store whose columns are the features and the code of a window, or the code alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from eraflow.disk.atomic import storage_errors
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.job import How
from models.base.protocol import Codes
from models.base.rows import tile_rows, tiles
from models.compression.encoder import Encoder

CodeUse = Literal["beside", "instead"]
CODE_COLUMN = "code_"
"""What the names of the columns of the code begin with."""
WINDOW_FILE = "window.npy"


class CodeFileError(EraflowError):
    """The codes of a window cannot be read, or do not reach over the eras that a member needs.

    Remove the stage `vae` of the run, so that they are made again.
    """

    code = "code_file"


@dataclass(frozen=True, kw_only=True)
class LearnedCode:
    """The codes that a stage learnt, as a member uses them; what they are is told by the stage's signature.

    Attributes:
        use: whether the code stands beside the features or instead of them.
        size: numbers in the code.
        labels: of the windows in the order of the fits, that for live last.
        spans: first and last era of each file.
        folder: of the stage.
    """

    use: CodeUse
    size: int
    labels: tuple[str, ...]
    spans: tuple[tuple[str, str], ...]
    folder: How[Path]

    def columns(self, features: Sequence[str]) -> tuple[str, ...]:
        """Names of the columns that a member sees of a store with these features."""
        return (*(features if self.use == "beside" else ()), *code_columns(self.size))


class LearntRows(Protocol):
    """What a member is fitted on and judged on: an EraStore, or one with the code of a window; see there."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns of the matrix."""

    @property
    def eras(self) -> tuple[str, ...]:
        """In order."""

    def matrix(self, eras: Sequence[str] | None = None) -> Codes:
        """int8[rows, columns], levels 0 to 4."""

    def column(self, name: str, eras: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """A target, benchmark or other column."""

    def ids(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.str_]:
        """The ids."""

    def era_codes(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int32]:
        """For each row the position of its era in `.eras`."""

    def offsets(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """Where each of `eras` begins among their rows."""


class CodedStore:
    """The eras of one window with its code.

    Args:
        store: the data.
        span: first and last era.
        features: names of the columns.
        matrix: int8[rows of the span, columns].
    """

    def __init__(self, store: EraStore, span: tuple[str, str], features: tuple[str, ...], matrix: Codes) -> None:
        self._store, self._matrix, self.features = store, matrix, features
        self._first = store.eras.index(span[0])
        self.eras = store.eras[self._first : store.eras.index(span[1]) + 1]
        self._before = int(store.offsets(store.eras[: self._first])[-1])

    def matrix(self, eras: Sequence[str] | None = None) -> Codes:
        """See `EraStore.matrix`; a view where the eras are neighbours.

        Raises:
            CodeFileError: an era lies outside of the span.
        """
        self._check(eras)
        rows = self._store.rows(self.eras if eras is None else eras)
        if isinstance(rows, slice):
            return self._matrix[rows.start - self._before : rows.stop - self._before]
        return np.take(self._matrix, rows - self._before, axis=0)

    def column(self, name: str, eras: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """See `EraStore.column`."""
        return self._store.column(name, self.eras if eras is None else eras)

    def ids(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.str_]:
        """See `EraStore.ids`."""
        return self._store.ids(self.eras if eras is None else eras)

    def era_codes(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int32]:
        """See `EraStore.era_codes`."""
        return self._store.era_codes(self.eras if eras is None else eras) - np.int32(self._first)

    def offsets(self, eras: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """See `EraStore.offsets`."""
        return self._store.offsets(self.eras if eras is None else eras)

    def _check(self, eras: Sequence[str] | None) -> None:
        outside = [era for era in eras or () if era not in self.eras]
        if outside:
            raise CodeFileError(
                f"the code of the window reaches from era {self.eras[0]} to {self.eras[-1]}, and era {outside[0]} is "
                "asked for",
                "remove the folder of the stage vae, so that it is made again",
            )


def code_columns(size: int) -> tuple[str, ...]:
    """Names of the columns of a code."""
    return tuple(f"{CODE_COLUMN}{number:0{len(str(size - 1))}d}" for number in range(size))


def codes_file(folder: Path, label: str) -> Path:
    """Where the codes of a window lie: int8[rows of its span, c]."""
    return folder / f"codes-{label}.npy"


def encoder_folder(folder: Path, label: str) -> Path:
    """Where the encoder of a window lies."""
    return folder / f"encoder-{label}"


def encoder_of(code: LearnedCode, position: int) -> Encoder:
    """The encoder of the fit at `position`.

    Raises:
        DamagedModelError: it cannot be read.
    """
    return Encoder.load(encoder_folder(code.folder, code.labels[position]))


@contextmanager
def coded_store(
    store: EraStore, code: LearnedCode, position: int, scratch: Path, rows_in_memory: int
) -> Iterator[CodedStore]:
    """The columns that the fit at `position` sees, as long as the block lasts.

    Beside the features, the code is laid next to them in a file, tile by tile, so that every learner is given one
    matrix and the memory stays at a tile; the file goes when the block ends. Alone, it is read where it lies.

    Args:
        store: the data.
        code: of all windows.
        position: of the window, or their number for live.
        scratch: folder for the file; what a killed attempt left there goes first.
        rows_in_memory: rows of a tile at the most.

    Raises:
        CodeFileError: the codes cannot be read.
        StorageError: the file cannot be written.
    """
    span = code.spans[position]
    codes = _read(codes_file(code.folder, code.labels[position]))
    names = code.columns(store.features)
    if code.use == "instead":
        yield CodedStore(store, span, names, codes)
        return
    first, last = store.eras.index(span[0]), store.eras.index(span[1])
    features = store.matrix(store.eras[first : last + 1])
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with storage_errors(scratch):
            scratch.mkdir(parents=True)
            whole = _joined(features, codes, scratch / WINDOW_FILE, rows_in_memory)
        yield CodedStore(store, span, names, whole)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _joined(features: Codes, codes: Codes, path: Path, rows_in_memory: int) -> Codes:
    """A read-only map of both side by side."""
    if len(features) != len(codes):
        raise CodeFileError(
            f"there are codes of {len(codes)} rows for {len(features)} rows of the era store",
            "remove the folder of the stage vae, so that it is made again",
        )
    width = features.shape[1] + codes.shape[1]
    written: Any = open_memmap(path, mode="w+", dtype=np.int8, shape=(len(codes), width))
    for rows in tiles(len(codes), tile_rows(width, rows_in_memory)):
        written[rows, : features.shape[1]] = features[rows]
        written[rows, features.shape[1] :] = codes[rows]
    written.flush()
    del written
    return _read(path)


def _read(path: Path) -> Codes:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CodeFileError(
            f"{path} cannot be mapped ({error})", "remove the folder of the stage vae, so that it is made again"
        ) from error
    return np.asarray(found)
