"""What an era pays in this run: as the settings say, else as the round says."""

from __future__ import annotations

from prefect import get_run_logger

from eraflow.numerai.rounds import Round
from eraflow.runs.identity import note_payout
from eraflow.scoring.payout import TODAY, NothingPaidError, Payout, payout_of
from tasks.run import Run


def paid(run: Run, round_now: Round) -> Payout:
    """The multipliers and the cut.

    A round that tells no multiplier of CORR or MMC stops no week: it is scored by what rounds usually pay, and that is
    said.

    Raises:
        NothingPaidError: `payout.multipliers` of the settings names neither CORR nor MMC.
    """
    payout = _paid(run, round_now)
    note_payout(run.path, {"corr": payout.corr, "mmc": payout.mmc}, payout.clip)
    return payout


def _paid(run: Run, round_now: Round) -> Payout:
    stated = run.settings.payout
    clip = stated.clip if stated.clip is not None else round_now.payout_clip
    if stated.multipliers is not None:
        return payout_of(stated.multipliers, clip)
    try:
        return payout_of(round_now.multipliers, clip)
    except NothingPaidError as error:
        get_run_logger().warning("round %s: %s; scored by %s", round_now.number, error.problem, TODAY.in_words())
        return TODAY
