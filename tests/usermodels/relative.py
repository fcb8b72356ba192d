"""A model whose prediction of a row depends on the other rows of its era."""

from itertools import pairwise
from typing import ClassVar

import numpy as np


class Relative:
    """The mean of each feature over the era is taken out first, so a row's prediction depends on its era."""

    needs_whole_eras = True
    cost: ClassVar = {"base_mb": 200, "value": 10}

    def __init__(self, params):
        self.params = params

    def fit(self, x, y, *, eras, plan, seed, progress=None):
        assert (eras[0], eras[-1]) == (0, len(x))
        codes, known = self._relative(x, eras), ~np.isnan(y)
        square = codes[known].T @ codes[known] + 50 * np.eye(x.shape[1])
        self.weights = np.linalg.solve(square, codes[known].T @ (y[known] - y[known].mean()))

    def predict(self, x, *, eras, plan=None):
        return self._relative(x, eras) @ self.weights

    def _relative(self, x, eras):
        parts = [x[start:stop] - x[start:stop].mean(axis=0) for start, stop in pairwise(eras)]
        return np.concatenate(parts)

    def save(self, folder):
        np.save(folder / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder):
        model = cls({})
        model.weights = np.load(folder / "weights.npy")
        return model
