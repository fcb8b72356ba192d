"""The CSV that is sent: written one way only, so that the same predictions always give the same bytes.

Columns `id,prediction`; one row for each live id, sorted by id; LF, UTF-8 without BOM; ten decimals. A prediction is
its tie-kept rank, (rank - 0.5)/n, and so lies strictly between 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import write_bytes
from eraflow.errors import EraflowError

HEADER = "id,prediction"
DECIMALS = 10

# What a CSV reader takes as it stands: no separator, quote, space, control or non-ASCII character.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:@#/+\-]+")
# What pandas would read as a number or as missing, and so might give back changed ("007" -> 7).
_NOT_TEXT = re.compile(
    r"[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?|[+-]?nan|true|false|null|none|n/?a|#n/a.*|#na"
    r"|-?1\.#(ind|qnan)|<na>",
    re.IGNORECASE,
)


class SubmissionInputError(EraflowError):
    """Ids and predictions do not belong together. Predict again on the live file of this round."""

    code = "submission_input"


class BadIdError(SubmissionInputError):
    """An id that a CSV reader would change. Ids are text such as `n0123456789abcde`."""

    code = "submission_bad_id"


class DuplicateIdsError(SubmissionInputError):
    """An id appears more than once. Fetch the live file anew."""

    code = "submission_duplicate_ids"


class NotFinitePredictionsError(SubmissionInputError):
    """A prediction is NaN or infinite. Look at the model that made it."""

    code = "submission_not_finite"


class ConstantSubmissionError(SubmissionInputError):
    """All predictions are equal: the model has learned nothing, or was given one row many times."""

    code = "submission_constant"


class EmptyLiveError(EraflowError):
    """The live file has no rows, so there is nothing to submit. Fetch it anew when the round is open."""

    code = "submission_empty_live"


def write_submission(ids: Sequence[str], predictions: npt.ArrayLike, path: Path) -> Path:
    """Write predictions as a submission; without rows, the header alone.

    Args:
        ids: the live ids, in any order.
        predictions: real numbers [len(ids)], higher is better; only their order matters, ties stay ties.
        path: the CSV to write.

    Raises:
        DuplicateIdsError, BadIdError, NotFinitePredictionsError, ConstantSubmissionError, SubmissionInputError.
        StorageError: it could not be written.
    """
    values = _values(predictions, len(ids))
    _check_ids(ids)
    _check_values(ids, values)
    ranks = tie_kept_ranks(values)
    rows = sorted(zip(map(str, ids), ranks.tolist(), strict=True))
    lines = [HEADER, *(f"{name},{value:.{DECIMALS}f}" for name, value in rows)]
    return write_bytes(Path(path), ("\n".join(lines) + "\n").encode("utf-8"))


def tie_kept_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(rank - 0.5)/n with equal values sharing their mean rank; float64 [n], strictly between 0 and 1."""
    from scipy.stats import rankdata  # 45 MiB, which a process that only reads need not hold

    if values.size == 0:
        return values
    ranks: npt.NDArray[np.float64] = (rankdata(values, method="average") - 0.5) / values.size
    return ranks


def _values(predictions: npt.ArrayLike, rows: int) -> npt.NDArray[np.float64]:
    try:
        values = np.asarray(predictions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SubmissionInputError(
            f"predictions are no numbers: {error}", "give one real number for each id"
        ) from error
    if values.shape != (rows,):
        raise SubmissionInputError(
            f"{rows} ids and predictions of shape {values.shape}", "give one prediction for each live id"
        )
    return values


def _check_ids(ids: Sequence[Any]) -> None:
    bad = [name for name in ids if not is_plain_id(name)]
    if bad:
        raise BadIdError(
            f"{len(bad)} of {len(ids)} ids cannot stand in a CSV as they are, such as {str(bad[0])[:40]!r}",
            "use ids of plain letters and digits that are no numbers, as in Numerai's live file",
        )
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        twice = sorted({name for name in ids if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
        raise DuplicateIdsError(
            f"{len(twice)} ids appear more than once, such as {', '.join(twice[:3])}", "fetch the live file anew"
        )


def is_plain_id(name: Any) -> bool:
    """Whether every CSV reader gives this id back unchanged."""
    return isinstance(name, str) and bool(_PLAIN_ID.fullmatch(name)) and not _NOT_TEXT.fullmatch(name)


def _check_values(ids: Sequence[str], values: npt.NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise NotFinitePredictionsError(
            f"{bad.size} of {values.size} predictions are NaN or infinite, such as that of {ids[int(bad[0])]}",
            "look for missing features and for a model that diverged, then predict again",
        )
    if values.size > 1 and np.all(values == values[0]):
        raise ConstantSubmissionError(
            f"all {values.size} predictions equal {values[0]:g}", "train again: this model tells nothing apart"
        )
