"""The layers of a network in NumPy, in such a way that a row's bits depend on nothing but the row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def linear(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """`x @ weight.T + bias` over the last axis, summed in float64 and rounded once.

    On some processors BLAS sums the first and last rows of a block in another order than the others, so that the last
    bits of a row's result in float32 depend on its place. Rounding a float64 sum takes these away.

    Args:
        x: float32[..., f].
        weight: float32[h, f].
        bias: float32[h].
    """
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    found: Floats = (flat @ weight.T.astype(np.float64) + bias).astype(np.float32)
    return found.reshape(*x.shape[:-1], len(weight))


def normalised(x: Floats, scale: Floats, shift: Floats, epsilon: float) -> Floats:
    """Layer normalisation over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    centred /= np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(epsilon))
    result: Floats = centred * scale + shift
    return result


def attended(query: Floats, key: Floats, value: Floats, heads: int) -> Floats:
    """Scaled dot product attention of all heads.

    Args:
        query: float32[..., q, h].
        key, value: float32[..., k, h].
        heads: h is a multiple of it.

    Returns:
        float32[..., q, h]
    """
    wide, narrow, values = (_by_head(part, heads) for part in (query, key, value))
    scores = wide @ narrow.swapaxes(-1, -2) / np.sqrt(wide.shape[-1])
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    result: Floats = (scores @ values).swapaxes(-2, -3).reshape(query.shape).astype(np.float32)
    return result


def _by_head(x: Floats, heads: int) -> npt.NDArray[np.float64]:
    """float64[..., heads, n, h / heads]"""
    *before, rows, width = x.shape
    return np.ascontiguousarray(x.reshape(*before, rows, heads, width // heads).swapaxes(-2, -3), dtype=np.float64)
