"""The rows of a fit in LightGBM's bins: how they get there, and the file they are kept in."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.base.rows import TrainingRows, level_matrix
from models.boosters.lightgbm_pack import FileLayout

FEATURE_BYTES = 256
"""About what the file holds of a feature beside its codes."""

log = logging.getLogger("eraflow.bins")


class LightGBMBins:
    """A `bincache.BinFile`: makes a `lightgbm.Dataset` whose labels are zero, so that targets can share it.

    Two ways, the same bins: the library's binary file is written by `lightgbm_pack` and read back, or, where
    that cannot be, the library is handed float32 tiles. Both hold half a byte for each value and one tile.
    """

    refusals: tuple[type[Exception], ...] = (lgb.basic.LightGBMError, OSError)

    def __init__(self, rows: TrainingRows, settings: Mapping[str, Any], scratch: Path | None) -> None:
        self._rows, self._settings, self._scratch = rows, dict(settings), scratch
        self.expected_bytes = rows.n_features * (FEATURE_BYTES + rows.n_rows / 2) + 4 * rows.n_rows

    def make(self, path: Path | None) -> Any:
        """The dataset; its file stays at `path` when one is given."""
        if path is not None:
            return self._packed(path) or self._saved(path)
        try:
            with tempfile.TemporaryDirectory(prefix="lightgbm-", dir=self._scratch) as folder:
                return self._packed(Path(folder) / "bins") or self.from_tiles()
        except self.refusals as error:
            log.warning("the library bins the rows itself: %s", error)
            return self.from_tiles()

    def _packed(self, path: Path) -> Any:
        """The dataset from a file that is written here, or None when the library would write another one."""
        if self._settings.get("device_type", "cpu") != "cpu":
            return None
        layout = FileLayout.learn(self._rows.n_features, self._settings, self._scratch)
        if layout is None:
            return None
        layout.write(path, self._rows)
        return self.load(path)

    def _saved(self, path: Path) -> Any:
        """The dataset from tiles, and its file."""
        dataset = self.from_tiles()
        dataset.save_binary(str(path))
        return dataset

    def from_tiles(self) -> Any:
        """The dataset from float32 tiles. With a reference the library pushes them into bins that it need not find."""
        levels = level_matrix(self._rows.n_features)
        nothing = np.zeros(len(levels), dtype=np.float32)
        reference = lgb.Dataset(levels, label=nothing, params=self._settings).construct()
        label = np.zeros(self._rows.n_rows, dtype=np.float32)
        dataset = lgb.Dataset(_Tiles(self._rows), label=label, reference=reference, params=self._settings)
        dataset.construct()
        dataset.data = None
        return dataset

    def load(self, path: Path) -> Any:
        """The dataset from its file."""
        return lgb.Dataset(str(path), params=self._settings).construct()


class _Tiles(lgb.Sequence):  # type: ignore[misc]
    """The rows as LightGBM asks for them: `batch_size` at a time, float32."""

    def __init__(self, rows: TrainingRows) -> None:
        self._rows, self.batch_size = rows, rows.tile

    def __len__(self) -> int:
        return self._rows.n_rows

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        return self._rows[rows].astype(np.float32, order="C")
