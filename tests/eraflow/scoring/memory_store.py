"""A small era store in memory, whose predictions `signal` are good."""

import numpy as np


class MemoryStore:
    """An era store in memory: 40 eras of 100 rows, a benchmark from era 0011, a meta model from era 0031."""

    def __init__(self, seed=8, n_eras=40, rows=100):
        rng = np.random.default_rng(seed)
        self.eras = tuple(f"{i:04d}" for i in range(1, n_eras + 1))
        self.rows_per_era = rows
        self.features = tuple(f"feature_{i}" for i in range(6))
        n = n_eras * rows
        self.levels = rng.integers(0, 5, (n, 6)).astype(np.int8)
        self.signal = (self.levels[:, :3].sum(axis=1) - 6) + rng.standard_normal(n)
        target = np.digitize(self.signal + 2 * rng.standard_normal(n), [-3, -1, 1, 3]) / 4
        target[-3 * rows :] = np.nan
        benchmark, meta = (self.signal + rng.standard_normal(n) for _ in range(2))
        benchmark[: 10 * rows], meta[: 30 * rows] = np.nan, np.nan
        self.columns = {"target_x_20": target, "bench": benchmark, "meta": meta}

    def _rows(self, eras):
        wanted = [self.eras.index(era) for era in (eras if eras is not None else self.eras)]
        return np.concatenate([np.arange(i * self.rows_per_era, (i + 1) * self.rows_per_era) for i in wanted])

    def column(self, name, eras=None):
        return self.columns[name][self._rows(eras)]

    def matrix(self, eras=None, features=None):
        block = self.levels[self._rows(eras)]
        return block if features is None else block[:, [self.features.index(name) for name in features]]

    def offsets(self, eras=None):
        return np.arange(len(eras if eras is not None else self.eras) + 1) * self.rows_per_era
