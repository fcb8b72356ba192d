"""Where the prediction of a round goes: a destination prepares it, and sends what the verdict allows."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.rounds import Round
from tasks.gate import JudgedEnsemble
from tasks.livescores import note_promise
from tasks.predict import predict_twice
from tasks.prepared import PreparedDelivery
from tasks.run import Run
from tasks.sendmodel import ModelUpload
from tasks.submit import Submission, submit, write_checked_submission


class Destination(Protocol):
    """One way of delivery."""

    def prepare(self, run: Run, shipped: JudgedEnsemble, live: Path) -> PreparedDelivery:
        """Make what is to be sent of the live file, and check it. Nothing leaves this computer.

        Raises:
            EraflowError: a check failed; its text names which.
        """

    def send(
        self,
        run: Run,
        tournament: Tournament,
        slot: Slot,
        round_now: Round,
        shipped: JudgedEnsemble,
        prepared: PreparedDelivery,
    ) -> Submission:
        """Send it where the verdict allows it, and read back that it arrived; a dry run stops just before.

        Raises:
            GateBlockedError, StaleVerdictError, WrongEnsembleError: the verdict does not allow it.
        """


class CsvUpload:
    """The live era is predicted here, twice, and a CSV is uploaded to the model slot."""

    def prepare(self, run: Run, shipped: JudgedEnsemble, live: Path) -> PreparedDelivery:
        """`RUN_DIR/submission/submission.csv` after all checks."""
        first, second = predict_twice(run, shipped, live)
        file = write_checked_submission(run, first, second, live)
        return PreparedDelivery(file, str(first.metrics["ensemble_signature"]))

    def send(
        self,
        run: Run,
        tournament: Tournament,
        slot: Slot,
        round_now: Round,
        shipped: JudgedEnsemble,
        prepared: PreparedDelivery,
    ) -> Submission:
        """Upload it, unless another submission is filed for this round already."""
        return submit(run, tournament, slot, round_now, shipped, prepared)


def destination_of(run: Run) -> Destination:
    """The one that `submit.as` names."""
    return ModelUpload() if run.settings.submit.sends_model else CsvUpload()


def deliver(
    run: Run,
    tournament: Tournament,
    slot: Slot,
    round_now: Round,
    shipped: JudgedEnsemble,
    live: Path,
    destination: Destination | None = None,
) -> Submission:
    """Prepare and send the prediction of the live file with what the verdict is on; says what became of it.

    Raises:
        EraflowError: as `Destination.prepare` and `Destination.send` do.
    """
    chosen = destination or destination_of(run)
    sent = chosen.send(run, tournament, slot, round_now, shipped, chosen.prepare(run, shipped, live))
    note_promise(run, slot, shipped, sent)
    return sent
