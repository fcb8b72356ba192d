"""The signal that is planted in generated data, and what a benchmark or a meta model can see of it.

A row's features, centred to mean 0 and variance 1, are z. The latent target of a horizon h is

    y = a * score(z) + b * noise(z) + rest * e,      e ~ N(0, 1) for each row

- `score`: linear terms and products of pairs, with coefficients that drift slowly (sinusoids of 120 to 400 weeks);
- `noise`: linear in z, its coefficients a moving average over the h weeks (5 for 20 days, 13 for 60) that overlapping
  labels share. It has mean zero, cannot be predicted, and makes per-era CORR autocorrelated as real labels do;
- `a` grows with the setting `signal`; with 0 nothing can be learnt but the noise of the past.

The benchmark and the meta model are what a fit to the past would have found: past averages of the true coefficients
*and* of the noise, attenuated products, and an error of their own. So the BMC and MMC of a good model are small, not
degenerate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eraflow.sandbox.naming import FeatureNames
from eraflow.settings.source import SandboxSettings

OVERLAP = {20: 5, 60: 13}  # weeks whose labels overlap
PURGE = {20: 8, 60: 16}  # weeks that a benchmark leaves out before the era it predicts
STRENGTH = {20: 0.080, 60: 0.110}  # `a` at signal 1: correlation of the true score with the latent target
NOISE = {20: 0.22, 60: 0.26}  # `b`
PAIR_SHARE = 0.25  # of the score's variance
DRIFT_SHARE = 0.20  # of each coefficient's variance over time


@dataclass(frozen=True)
class View:
    """Coefficients of someone who sees part of the truth: linear float64[eras, active], pairs float64[eras, pairs]."""

    linear: np.ndarray
    pairs: np.ndarray
    row_noise: float


@dataclass(frozen=True)
class Truth:
    """The planted coefficients of every era.

    Attributes:
        active: int64[k], feature positions (file order) that carry signal.
        pairs: int64[p, 2], positions in `active` whose products carry signal.
        linear: float64[eras, k] and products: float64[eras, p]: coefficients of the score, which has variance about 1.
        noise: horizon -> float64[eras, k].
        strength: horizon -> a.
    """

    active: np.ndarray
    pairs: np.ndarray
    linear: np.ndarray
    products: np.ndarray
    noise: dict[int, np.ndarray]
    strength: dict[int, float]

    def score(self, era: int, z: np.ndarray) -> np.ndarray:
        """The true score of an era's rows: z float64[k, n] -> float64[n]."""
        return combine(self.linear[era], self.products[era], self.pairs, z)

    def latent(self, days: int, era: int, z: np.ndarray, e: np.ndarray) -> np.ndarray:
        """The latent target y: z float64[k, n], e float64[n] -> float64[n]."""
        a, b = self.strength[days], NOISE[days]
        rest = np.sqrt(max(0.05, 1 - a * a - b * b))
        noise = np.einsum("k,kn->n", self.noise[days][era], z)
        return np.asarray(a * self.score(era, z) + b * noise + rest * e)


def combine(linear: np.ndarray, products: np.ndarray, pairs: np.ndarray, z: np.ndarray) -> np.ndarray:
    """`sum_k linear_k z_k + sum_p products_p z_i z_j`; z float64[k, n] -> float64[n].

    einsum and not a BLAS product, so that the bytes do not depend on the number of threads.
    """
    both = z[pairs[:, 0]] * z[pairs[:, 1]]
    return np.asarray(np.einsum("k,kn->n", linear, z) + np.einsum("p,pn->n", products, both))


def plant(settings: SandboxSettings, features: FeatureNames, seed: int) -> Truth:
    """Draw the truth of all eras (train, validation, live). A few megabytes at most: 240 coefficients an era."""
    eras = settings.train_eras + settings.validation_eras + 1
    rng = np.random.default_rng([seed, 25])
    active = _active(features, rng)
    pairs = _pairs(features.cluster[active], max(4, len(active) // 3), rng)
    linear = _drifting(eras, len(active), rng)
    products = _drifting(eras, len(pairs), rng)
    shocks = rng.standard_normal((eras + max(OVERLAP.values()), len(active)))
    noise = {days: _moving_average(shocks, weeks, eras) / np.sqrt(len(active)) for days, weeks in OVERLAP.items()}
    return Truth(
        active=active,
        pairs=pairs,
        linear=np.sqrt(1 - PAIR_SHARE) * linear,
        products=np.sqrt(PAIR_SHARE) * products,
        noise=noise,
        strength={days: min(0.9, a * settings.signal) for days, a in STRENGTH.items()},
    )


def benchmark_view(truth: Truth, days: int, rows_per_era: int, seed: int) -> View:
    """What a boosted ensemble trained each week on the resolved past would have learnt."""
    return _view(truth, (days,), rows_per_era, np.random.default_rng([seed, 31, days]), misfit=0.5, row_noise=0.2)


def meta_model_view(truth: Truth, rows_per_era: int, seed: int) -> View:
    """What a blend of many models, trained on both horizons, would have learnt."""
    return _view(truth, (20, 60), rows_per_era, np.random.default_rng([seed, 37]), misfit=0.25, row_noise=0.15)


def _view(
    truth: Truth, horizons: tuple[int, ...], rows: int, rng: np.random.Generator, *, misfit: float, row_noise: float
) -> View:
    count, width = truth.linear.shape
    linear, pairs = np.zeros_like(truth.linear), np.zeros_like(truth.products)
    for days in horizons:
        a, lag = truth.strength[days], PURGE[days]
        seen = np.maximum(np.arange(count) - lag, 1)[:, None]
        sampling = rng.standard_normal((1, width)) / np.sqrt(rows * seen)
        linear += a * _past_mean(truth.linear, lag) + NOISE[days] * _past_mean(truth.noise[days], lag) + sampling
        pairs += 0.6 * a * _past_mean(truth.products, lag)
    size = np.sqrt(np.mean(linear**2, axis=1, keepdims=True))
    return View(linear + misfit * size * rng.standard_normal((1, width)), pairs, row_noise)


def view_scores(view: View, truth: Truth, era: int, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores of the viewer for an era's rows, in standard deviations: z float64[k, n] -> float64[n]."""
    scores = combine(view.linear[era], view.pairs[era], truth.pairs, z)
    return np.asarray(scores / (scores.std() + 1e-12) + view.row_noise * rng.standard_normal(len(scores)))


def _active(features: FeatureNames, rng: np.random.Generator) -> np.ndarray:
    """Positions with signal: up to half from `small`, as that set holds the strongest features, the rest anywhere."""
    count = len(features.names)
    wanted = int(np.clip(0.6 * count, min(count, 12), 240))
    small = set(features.sets["small"])
    shuffled = rng.permutation(count)
    first = [int(p) for p in shuffled if features.names[p] in small][: wanted // 2]
    others = [int(p) for p in shuffled if int(p) not in set(first)]
    return np.sort(np.array(first + others[: wanted - len(first)], dtype=np.int64))


def _pairs(clusters: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of positions from different clusters, so that their product is uncorrelated with either."""
    left = rng.integers(0, len(clusters), 50 * count)
    right = rng.integers(0, len(clusters), 50 * count)
    apart = np.flatnonzero(clusters[left] != clusters[right])[:count]
    return np.stack([left[apart], right[apart]], axis=1)


def _drifting(eras: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Coefficients float64[eras, width] around a fixed value; the squares of a row sum to about 1."""
    base = rng.choice((-1.0, 1.0), width) * rng.uniform(0.6, 1.4, width)
    period, phase = rng.uniform(120, 400, width), rng.uniform(0, 2 * np.pi, width)
    weeks = np.arange(eras)[:, None]
    wave = np.sqrt(2 * DRIFT_SHARE) * np.sin(2 * np.pi * weeks / period + phase)
    return np.asarray(base * (np.sqrt(1 - DRIFT_SHARE) + wave) / np.sqrt(np.sum(base**2)))


def _moving_average(shocks: np.ndarray, weeks: int, eras: int) -> np.ndarray:
    """Sum of the `weeks` shocks that follow an era, scaled to variance 1: float64[eras, k]."""
    total = np.cumsum(np.vstack([np.zeros((1, shocks.shape[1])), shocks]), axis=0)
    return np.asarray((total[weeks : weeks + eras] - total[:eras]) / np.sqrt(weeks))


def _past_mean(path: np.ndarray, lag: int) -> np.ndarray:
    """Mean of the rows up to `lag` weeks before each era; the first eras see their own row only."""
    means = np.cumsum(path, axis=0) / np.arange(1, len(path) + 1)[:, None]
    return np.asarray(means[np.maximum(np.arange(len(path)) - lag, 0)])
