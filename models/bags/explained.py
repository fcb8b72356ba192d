"""How much features matter to a bag whose parts can tell it: the mean of what they tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.bags.bagmodel import BagModel
from models.base.protocol import Codes, Explained, FloatArray


class ExplainedBag(BagModel):
    """A bag of models that tell how much features matter to them; see `models.base.protocol.Explained`.

    Ranks within an era have no SHAP values that add up. So the figures are means over the parts, weighted as these are,
    of each part's own figures in units that make the parts alike; a feature that a part does not use counts as nothing
    there.
    """

    def gain(self) -> FloatArray:
        """float64[f]: the mean of the parts' shares of gain."""
        total = np.zeros(self._used())
        for model, places, weight in self._told():
            gain = model.gain()
            total[places] += weight * gain / max(float(gain.sum()), np.finfo(np.float64).tiny)
        return total / self.weight

    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """float64[n, f + 1]: the mean of the parts' contributions, each over the spread of the part's predictions."""
        total = np.zeros((len(tile), self._used() + 1))
        for model, places, weight in self._told():
            found = model.contributions(np.ascontiguousarray(tile[:, places]), threads)
            spread = float(found.sum(axis=1).std())
            total[:, [*places, -1]] += weight * found / (spread if spread > 0 else 1.0)
        return total / self.weight

    def contribution_steps(self) -> int:
        """All that the parts need."""
        return sum(model.contribution_steps() for model, _, _ in self._told())

    def _used(self) -> int:
        return self.n_features if self.columns is None else len(self.columns)

    def _told(self) -> Iterator[tuple[Explained, npt.NDArray[np.intp], float]]:
        """Each model, the places of its columns among those of the bag, and what it counts."""
        used = range(self.n_features) if self.columns is None else self.columns
        place = {column: at for at, column in enumerate(used)}
        for part, fitted in zip(self.parts, self.fitted, strict=True):
            model = fitted.model
            if isinstance(model, Explained):
                own = used if part.columns is None else part.columns
                yield model, np.array([place[column] for column in own], dtype=np.intp), part.weight
