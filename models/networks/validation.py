"""How well a network that is still being trained ranks the eras that were kept back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from eraflow.scoring.metrics import PreparedCorr
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import Codes
from models.base.rows import Columns
from models.base.wholeeras import one_era
from models.networks.device import Device, judged_on
from models.networks.eratargets import KeptBack, Targets
from models.networks.network import Network, OutputShapeError


class Validation:
    """Numerai's CORR on eras that the training does not see.

    Rows pass in pieces, or era by era where the module wants whole eras; one thread computes, and nothing is dropped
    out. On the CPU the result depends on nothing but the weights.

    Args:
        network: how the module is called; what its loss takes for predictions is judged.
        x: int8[n, width]; may be a view of a file.
        y: float[n], NaN where it is not known.
        kept: the eras.
        columns: which are used.
    """

    def __init__(self, network: Network, x: Codes, y: Targets, kept: KeptBack, columns: Columns) -> None:
        self._network, self._x, self._y, self._columns = network, x, y, columns
        self._eras = [np.arange(start, stop) for start, stop in kept.eras]
        known = [rows[~np.isnan(y[rows])] for rows in self._eras]
        target = y[np.concatenate(known)].astype(np.float64)
        self._score = PreparedCorr(target, EraGroups.from_sizes(map(len, known)))
        if not network.takes_offsets:
            self._eras = known

    def corr(self, module: torch.nn.Module, device: Device, rows: int) -> float:
        """Mean CORR of the eras; NaN when a prediction is not finite.

        Args:
            module: on the device; it is in training when this returns, as it was before.
            device: where it is computed.
            rows: of a piece at the most.
        """
        module.eval()
        try:
            with torch.inference_mode():
                values = np.concatenate(
                    [part for era in self._eras for part in self._of_era(module, device, era, rows)]
                )
        finally:
            module.train()
        if not np.isfinite(values).all():
            return float("nan")
        # An era in which all predictions are equal has no CORR; for the mean it is 0, what such a model earns.
        return float(np.nan_to_num(self._score(values)).mean())

    def _of_era(
        self, module: torch.nn.Module, device: Device, era: npt.NDArray[np.int64], rows: int
    ) -> list[npt.NDArray[np.float64]]:
        if self._network.takes_offsets:
            return [self._of_rows(module, device, era)]
        return [self._of_rows(module, device, era[start : start + rows]) for start in range(0, len(era), rows)]

    def _of_rows(self, module: torch.nn.Module, device: Device, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64[m] of the rows with a known target."""
        target = self._y[rows].astype(np.float32)
        offsets = one_era(len(rows)) if self._network.takes_offsets else None
        found = judged_on(device, self._network, module, self._columns.of(self._x[rows]), target, offsets).predictions
        wanted = int(np.count_nonzero(~np.isnan(target)))
        if found.numel() % wanted:
            raise OutputShapeError(
                f"the loss took {list(found.shape)} for the predictions of {wanted} rows",
                "let it give one or several predictions a row, those of a row side by side",
            )
        values: npt.NDArray[np.float64] = found.double().reshape(wanted, -1).mean(dim=1).cpu().numpy()
        return values
