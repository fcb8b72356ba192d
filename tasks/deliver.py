"""Where the prediction of a round goes: a destination prepares it, and sends what the verdict allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eraflow.numerai.client import Slot, Tournament
from eraflow.numerai.rounds import Round
from eraflow.numerai.submission import SubmissionRecord
from eraflow.runs.stage import StageRecord
from tasks.gate import JudgedEnsemble
from tasks.predict import predict_twice
from tasks.run import Run
from tasks.submit import Submission, submit, write_checked_submission


@dataclass(frozen=True)
class PreparedDelivery:
    """What would be sent.

    Attributes:
        prediction: the stage that made it, which names the ensemble's signature.
        file: the file and its checks, all passed.
    """

    prediction: StageRecord
    file: SubmissionRecord


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
        return PreparedDelivery(first, write_checked_submission(run, first, second, live))

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
        return submit(run, tournament, slot, round_now, shipped, prepared.prediction, prepared.file)


CSV_UPLOAD = CsvUpload()


def deliver(
    run: Run,
    tournament: Tournament,
    slot: Slot,
    round_now: Round,
    shipped: JudgedEnsemble,
    live: Path,
    destination: Destination = CSV_UPLOAD,
) -> Submission:
    """Prepare and send the prediction of the live file with what the verdict is on; says what became of it.

    Raises:
        EraflowError: as `Destination.prepare` and `Destination.send` do.
    """
    return destination.send(run, tournament, slot, round_now, shipped, destination.prepare(run, shipped, live))
