"""Models as a user writes them, outside of the repository: in a file, or in an installed package."""

import sys
from pathlib import Path

RIDGE = '''\
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
'''
"""What README shows."""

WHOLE = '''\
import numpy as np


class Relative:
    """The mean of each feature over the era is taken out first, so a row's prediction depends on its era."""

    needs_whole_eras = True
    cost = {"base_mb": 200, "value": 10}

    def __init__(self, params):
        self.params = params

    def fit(self, x, y, *, eras, plan, seed, progress=None):
        assert eras[0] == 0 and eras[-1] == len(x) and (np.diff(eras) > 0).all()
        codes, known = self._relative(x, eras), ~np.isnan(y)
        square = codes[known].T @ codes[known] + 50 * np.eye(x.shape[1])
        self.weights = np.linalg.solve(square, codes[known].T @ (y[known] - y[known].mean()))

    def predict(self, x, *, eras, plan=None):
        return self._relative(x, eras) @ self.weights

    def _relative(self, x, eras):
        parts = [x[start:stop] - x[start:stop].mean(axis=0) for start, stop in zip(eras[:-1], eras[1:])]
        return np.concatenate(parts)

    def save(self, folder):
        np.save(folder / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder):
        model = cls({})
        model.weights = np.load(folder / "weights.npy")
        return model
'''
"""A model whose prediction of a row depends on the other rows of its era."""


def write_model_file(folder: Path, source: str = RIDGE, name: str = "mine.py") -> Path:
    """A user's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return path


def install_package(
    folder: Path,
    monkeypatch,
    *,
    kind: str = "ridge",
    module: str = "toy_ridge",
    source: str = RIDGE,
    cls: str = "Ridge",
) -> Path:
    """A package with an entry point, as pip would leave it, on the path of this process and its children."""
    write_model_file(folder, source, f"{module}.py")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[eraflow.models]\n{kind} = {module}:{cls}\n")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(module, None)
    return folder / f"{module}.py"
