"""Ridge regression on the codes of the features."""

import numpy as np


class Ridge:
    def __init__(self, params):
        self.penalty = params.get("penalty", 100.0)

    def fit(self, x, y, *, plan, seed, progress=None):  # x: int8[n, f], codes 0 to 4
        known = ~np.isnan(y)  # rows whose target is not known yet are in x, too
        codes = x[known] - 2.0
        penalty = self.penalty * np.eye(x.shape[1])
        self.weights = np.linalg.solve(codes.T @ codes + penalty, codes.T @ (y[known] - y[known].mean()))

    def predict(self, x, *, plan=None):  # one number a row; only the order within an era counts
        return (x - 2.0) @ self.weights

    def save(self, folder):  # a pathlib.Path to an empty folder
        np.save(folder / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder):
        model = cls({})
        model.weights = np.load(folder / "weights.npy")
        return model
