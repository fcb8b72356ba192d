"""The table of blends: how members may become one prediction. A blend is a row here and a name in the settings.

A row is two functions. `weigh` looks at the members' out-of-fold predictions and says what each is worth; that is
stored with the ensemble. `combine` makes one prediction of the members with the weights that are stored; it is what
is judged out of fold and what predicts live.

Weights that are learnt from the truth are a third function, `learns`. It is handed the past alone: each judged era is
blended with weights from the eras that were known before it, and the last ones are stored with the ensemble. So what is
judged is the procedure, never one set of weights that has seen the eras it is judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eraflow.errors import EraflowError
from eraflow.scoring.ranking import EraGroups
from models.base.protocol import FloatArray
from models.ensembles.rankblend import rank_gaussian_blend
from models.ensembles.weighing import Weigh, exponential, payout_optimal, recent_mean, small_stack

SUM_ERROR = 1e-6
"""By how much weights may miss a sum of 1: far above what rounding does to a thousand of them."""


class UnknownBlendError(EraflowError):
    """A method of blending that this version of Eraflow does not know. The text names those that it knows."""

    code = "unknown_blend"


class BlendWeightsError(EraflowError):
    """The weights of an ensemble are not one for each of its members, none negative, 1 together. Blend again."""

    code = "blend_weights"


@dataclass(frozen=True)
class Blend:
    """A way in which members become one prediction.

    Attributes:
        weigh: from float64[n, k], the members' out-of-fold predictions, and the eras of the rows to a weight for each
            member: finite, none negative, 1 together. It is not shown the truth: weights that were learnt from it
            would be judged on the eras that they were learnt from.
        combine: from float64[n, k], the eras of the rows and float64[k], the weights, to float64[n], larger is better.
            Eras must not touch each other, because live they come one at a time. Where the row `learns`, it also takes
            float64[n_eras, k].
        learns: weights from the past, in the place of `weigh`; None: it does not.
        confirmed: whether it departs from equal weights only where it has shown, on eras that it has not learnt from
            and by two measures, that it is no worse; see `models.ensembles.walkforward.departures`.
    """

    weigh: Callable[[FloatArray, EraGroups], Sequence[float]]
    combine: Callable[[FloatArray, EraGroups, FloatArray], FloatArray]
    learns: Weigh | None = None
    confirmed: bool = False


def equal_weights(members: FloatArray, groups: EraGroups) -> list[float]:
    """The same for each member, whatever it predicts."""
    count = members.shape[1]
    return [1 / count] * count


BLENDS: dict[str, Blend] = {
    "rank-gaussian": Blend(equal_weights, rank_gaussian_blend),
    "exponential": Blend(equal_weights, rank_gaussian_blend, exponential),
    "recent-mean": Blend(equal_weights, rank_gaussian_blend, recent_mean),
    "payout": Blend(equal_weights, rank_gaussian_blend, payout_optimal, confirmed=True),
    "stack": Blend(equal_weights, rank_gaussian_blend, small_stack),
}
"""Every blend by its name in `blend.method` and in `ensemble.json`."""


def find_blend(method: object) -> Blend:
    """The row of the table.

    Raises:
        UnknownBlendError: there is none of that name.
    """
    if not isinstance(method, str) or method not in BLENDS:
        raise UnknownBlendError(
            f"this version of Eraflow does not know the blend {method!r}; it knows {', '.join(BLENDS)}",
            "use the version that made the ensemble, or blend the members again by one of these",
        )
    return BLENDS[method]


def member_weights(members: Sequence[Mapping[str, Any]]) -> FloatArray:
    """float64[k]: the weights of the members as `ensemble.json` describes them.

    Raises:
        BlendWeightsError: one is missing, is no finite number or is negative, or they are not 1 together.
    """
    return checked_weights([member.get("weight") for member in members], [str(member["name"]) for member in members])


def checked_weights(weights: Sequence[object], names: Sequence[str]) -> FloatArray:
    """float64[k]: a weight for each member.

    Raises:
        BlendWeightsError: they do not fit the members.
    """
    # Of JSON, true is no weight though Python counts with it; numpy's float64 is a float.
    numbers = [weight for weight in weights if isinstance(weight, (int, float)) and not isinstance(weight, bool)]
    values = np.array(numbers, dtype=np.float64)
    fits = len(values) == len(weights) == len(names) > 0 and bool(np.isfinite(values).all() and (values >= 0).all())
    if not fits or abs(float(values.sum()) - 1) > SUM_ERROR:
        raise BlendWeightsError(
            f"the weights of {', '.join(names) or 'no member'} are {list(weights)}: there must be one for each, none "
            "negative, 1 together",
            "blend the members again",
        )
    return values
