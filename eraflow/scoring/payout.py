"""What a round pays for an era: a multiple of CORR plus a multiple of MMC, cut on both sides.

Numerai publishes the multipliers and the cut with each round (`roundScoreConfigs`: `defaultMultiplier`,
`clipThreshold`). Since round 1343 it pays clip(3 CORR + 15 MMC, -1, 1), as a share of the stake and before the payout
factor of the round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.errors import SettingsError
from eraflow.scoring.ranking import FloatArray


class NothingPaidError(SettingsError):
    """A round, or the settings, pay neither CORR nor MMC. State payout.multipliers."""

    code = "nothing_paid"


@dataclass(frozen=True)
class Payout:
    """What one era pays.

    Attributes:
        corr: multiplier of CORR.
        mmc: multiplier of MMC, or of BMC where that stands in its place.
        clip: an era pays at most this and loses at most this.
    """

    corr: float = 3.0
    mmc: float = 15.0
    clip: float = 1.0

    def of(self, corr: npt.ArrayLike, contribution: npt.ArrayLike) -> FloatArray:
        """The payout of each era.

        Args:
            corr: float64[n_eras] or [n_eras, k].
            contribution: the same shape: MMC, or BMC in its place.

        Returns:
            The same shape; NaN where one of them is not known.
        """
        paid = self.corr * np.asarray(corr, dtype=np.float64) + self.mmc * np.asarray(contribution, dtype=np.float64)
        return np.clip(paid, -self.clip, self.clip)

    def in_words(self) -> str:
        """The formula, with MMC."""
        return f"{self.corr:g} CORR + {self.mmc:g} MMC, at most {self.clip:g} either way"


TODAY = Payout()
"""What rounds pay since 1343 (2026-08-28); where no round tells, this is taken."""


def payout_scores(
    payout: Payout, corr: FloatArray, mmc: FloatArray | None, bmc: FloatArray | None
) -> dict[str, FloatArray]:
    """The two scores, which are never mixed: `payout` where there is MMC, `payout_bmc` with BMC where there is none.

    Args:
        payout: the multipliers and the cut.
        corr: float64[n_eras].
        mmc: float64[n_eras], NaN in eras that the meta model does not cover; None: there is no meta model.
        bmc: the same of the benchmark; None: there is none, or these are its own predictions.
    """
    scores: dict[str, FloatArray] = {}
    if mmc is not None:
        scores["payout"] = payout.of(corr, mmc)
    if bmc is not None:
        elsewhere = bmc if mmc is None else np.where(np.isfinite(mmc), np.nan, bmc)
        scores["payout_bmc"] = payout.of(corr, elsewhere)
    return scores


def payout_of(multipliers: Mapping[str, float], clip: float | None = None) -> Payout:
    """The payout that these multipliers make, by the names of the paid scores (`corr60`, `mmc60`).

    Args:
        multipliers: name of each paid score -> multiplier.
        clip: the cut; None: that of today.

    Raises:
        NothingPaidError: neither CORR nor MMC is paid.
    """
    corr, mmc = (_sum_of(multipliers, word) for word in ("corr", "mmc"))
    if corr <= 0 and mmc <= 0:
        raise NothingPaidError(
            f"neither CORR nor MMC is paid: {dict(multipliers) or 'no multiplier is known'}",
            'state payout.multipliers, for example {"corr": 3, "mmc": 15}',
        )
    return Payout(corr, mmc, TODAY.clip if clip is None else clip)


def _sum_of(multipliers: Mapping[str, float], word: str) -> float:
    return sum(value for name, value in multipliers.items() if word in name.lower() and value > 0)
