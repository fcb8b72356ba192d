"""Recognising a training that goes wrong, in the child, while it goes: NaN, divergence, exploding gradients, a plateau.

Training code calls `update` after each gradient and before the weights change, and `epoch` after each pass over the
rows. Both tell the parent (mark "training"), and raise the named error that the ladder of plans has an answer for.

The thresholds are made for weak signals. On Numerai's targets a good model explains some tenths of a percent: its loss
lies at 0.99 to 1.001 of a constant predictor's for its whole life, above it while dropout is on. So nothing here
judges a loss that is merely not better than a constant predictor's, and there is no "no improvement for n epochs":
such a rule would end every honest training. A plateau is named only when the training shows that it does not learn at
all; see `_check_plateau`.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any, NoReturn

from eraflow.machine.failures import REMEDIES, StageDiverged, StageNaN, StageStalled
from eraflow.machine.progress import ENVIRONMENT_FLAG, SECONDS_BETWEEN, send_progress

# Losses are judged by the median of this many updates: a spike of a few batches, however high, does not move it.
WINDOW = 31
# The median must lie this far above the best one. The mean squared error of a standardised target is 1 for a constant;
# three times that means predictions that are wrong by more than the target varies. Batches of 32 rows of Numerai's
# target scatter by 0.26 around 1, their medians by 0.06: 3 is more than 30 of those away.
DIVERGED_FACTOR = 3.0
# ... and not below this share of what a constant predictor gets: a loss that has fallen to a thousandth and rises to a
# hundredth has still learnt.
CONSTANT_SHARE = 0.9
UPDATES_IN_A_ROW = 31  # updates in a row: the window is filled anew, a training that recovers is left alone
# Adam's second moment remembers about a thousand updates: this many gradients of a thousand times the usual norm keep
# its steps down for the rest of a training, clipped or not. One such gradient happens, and clipping is there for it.
EXPLODED_FACTOR = 1000.0
EXPLODED_UPDATES = 10
USUAL_NORMS = 200
MIN_NORMS = 50
# A plateau is looked for only after this many epochs; the first ones are warm-up.
PLATEAU_EPOCHS = 5
# Standard deviation of the predictions over that of the target. A model that explains one ten-thousandth of the
# variance has 0.01; below 0.001 it could explain at most a millionth.
CONSTANT_SPREAD = 1e-3
# Relative range of the epochs' losses. Each is a mean over the same rows, so they do not scatter by sampling; what
# learns, or only shuffles and drops out, moves them by 1e-5 and more. float32 resolves 6e-8.
FLAT = 1e-6
# A loss that has been this far below a constant predictor's has learnt, and may lie flat at the end of its rate.
LEARNT = 1e-4


class TrainingMonitor:
    """Watches one training.

    Args:
        who: what is trained, for the texts.
        constant_loss: loss of the best constant predictor (1 for the squared error of a standardised target); None
            when it is not known.
        deliver: takes the content of a mark; by default it goes to the parent, outside a child to nobody.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        who: str,
        *,
        constant_loss: float | None = None,
        deliver: Callable[[dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.who = who
        self.constant_loss = constant_loss
        self._deliver = deliver or _to_parent
        self._clock = clock
        self._sent = -math.inf
        self._waiting: dict[str, Any] | None = None
        self._start: float | None = None
        self._best = math.inf
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._norms: deque[float] = deque(maxlen=USUAL_NORMS)
        self._high = self._exploded = 0
        self._epochs: list[float] = []
        self._spreads: list[float | None] = []

    def update(self, step: int, loss: float, *, grad_norm: float | None, rate: float) -> None:
        """Judge one update, before the weights change.

        Args:
            step: number of the update, from 0 over the whole training.
            loss: mean over the batch.
            grad_norm: Euclidean norm of the whole gradient before clipping; None when there is none.
            rate: learning rate of this update.

        Raises:
            StageNaN: loss, gradient or rate is NaN or infinite.
            StageDiverged: the loss is far above its best and stays there, or gradients explode.
        """
        self._tell({"step": step, "loss": loss, "grad_norm": grad_norm, "rate": rate})
        where = f"at update {step}"
        self.check_finite("the loss", loss, where)
        self.check_finite("the learning rate", rate, where)
        if grad_norm is not None:
            self.check_finite("the gradient norm", grad_norm, where)
            self._check_norm(grad_norm, where)
        self._check_loss(loss, where)

    def epoch(self, number: int, loss: float, *, spread: float | None = None) -> None:
        """Judge one pass over all rows.

        Args:
            number: of the epoch, from 0.
            loss: mean over all rows of the epoch; the same rows each time.
            spread: standard deviation of the predictions, around the mean of those made with the same weights, over
                that of the target. Without it a plateau is seen only when the loss does not move at all.

        Raises:
            StageNaN: a figure is NaN or infinite.
            StageStalled, StageDiverged: nothing is learnt; "diverged" when the loss was far above its start before.
        """
        where = f"in epoch {number + 1}"
        self.check_finite("the loss", loss, where)
        if spread is not None:
            self.check_finite("the spread of the predictions", spread, where)
        self._epochs.append(loss)
        self._spreads.append(spread)
        self._check_plateau(where)

    def validated(self, done: int, corr: float) -> None:
        """Take in how well the eras that were kept back are ranked.

        Args:
            done: updates so far.
            corr: mean CORR of these eras.

        Raises:
            StageNaN: it is not finite.
        """
        self.check_finite("the validation CORR", corr, f"after update {done}")
        self._flush()
        self._deliver({"step": done - 1, "corr": corr})

    def check_finite(self, name: str, value: float, where: str) -> None:
        """Raise StageNaN, after the last figures were sent, when a loss, a gradient or a metric is not finite."""
        if not math.isfinite(value):
            self._fail(StageNaN(f"{name} of {self.who} is {value} {where}", REMEDIES["nan"]))

    def finish(self) -> None:
        """Send the last figures and judge the end: a training that ends with constant predictions has learnt nothing.

        Raises:
            StageStalled, StageDiverged: as in `epoch`, whatever the number of epochs.
        """
        self._flush()
        if self._spreads and _constant(self._spreads[-1:]):
            self._fail_constant("at its end")

    def _flush(self) -> None:
        if self._waiting is not None:
            self._deliver(self._waiting)
            self._waiting = None

    def state(self) -> dict[str, Any]:
        """What a training that goes on from a checkpoint should know of its past, as JSON."""
        return {"start": self._start, "best": self._best, "epochs": self._epochs, "spreads": self._spreads}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self._start, self._best = state["start"], state["best"]
        self._epochs, self._spreads = list(state["epochs"]), list(state["spreads"])

    def _check_loss(self, loss: float, where: str) -> None:
        if self._start is None:  # one small batch may by luck have a very small loss
            self._start = loss if self.constant_loss is None else max(loss, self.constant_loss)
        self._losses.append(loss)
        if len(self._losses) < WINDOW:
            return
        now = median(self._losses)
        self._best = min(self._best, now, self._start)
        usual = self._start if self.constant_loss is None else self.constant_loss
        far = now > DIVERGED_FACTOR * self._best and now > CONSTANT_SHARE * usual
        self._high = self._high + 1 if far else 0
        if self._high > UPDATES_IN_A_ROW:
            problem = f"the loss of {self.who} is {now:.4g} {where}; it was {self._best:.4g} at its best"
            self._fail(StageDiverged(problem, REMEDIES["diverged"]))

    def _check_norm(self, norm: float, where: str) -> None:
        usual = median(self._norms) if len(self._norms) >= MIN_NORMS else math.inf
        self._norms.append(norm)
        self._exploded = self._exploded + 1 if norm > EXPLODED_FACTOR * usual > 0 else 0
        if self._exploded >= EXPLODED_UPDATES:
            problem = f"the gradients of {self.who} exploded {where}: norm {norm:.4g}, {usual:.4g} as a rule"
            self._fail(StageDiverged(problem, REMEDIES["diverged"]))

    def _check_plateau(self, where: str) -> None:
        """Predictions that are constant for epochs, or a loss that has not moved since the beginning."""
        if len(self._epochs) < PLATEAU_EPOCHS:
            return
        recent, spreads = self._epochs[-PLATEAU_EPOCHS:], self._spreads[-PLATEAU_EPOCHS:]
        if _constant(spreads):
            self._fail_constant(where)
        flat = max(recent) - min(recent) <= FLAT * max(abs(recent[-1]), 1e-30)
        level = self._epochs[0] if self.constant_loss is None else self.constant_loss
        if flat and min(self._epochs) > (1 - LEARNT) * level:
            problem = f"the loss of {self.who} does not fall: {recent[-1]:.6g} for {PLATEAU_EPOCHS} epochs {where}"
            self._fail(StageStalled(problem, REMEDIES["stalled"]))

    def _fail_constant(self, where: str) -> NoReturn:
        problem = f"{self.who} predicts a constant {where}: spread {self._spreads[-1]:.2g} of the target's"
        start = self.constant_loss or self._start or math.inf
        if max(self._epochs) > DIVERGED_FACTOR * start:  # an explosion killed it: a plateau, but not of the slow kind
            problem += f", after its loss had been {max(self._epochs):.4g}"
            self._fail(StageDiverged(problem, REMEDIES["diverged"]))
        self._fail(StageStalled(f"{problem}, loss {self._epochs[-1]:.6g}", REMEDIES["stalled"]))

    def _fail(self, error: Exception) -> NoReturn:
        self._flush()
        raise error

    def _tell(self, figures: dict[str, Any]) -> None:
        self._waiting = {name: _json_number(value) for name, value in figures.items()}
        now = self._clock()
        if now - self._sent >= SECONDS_BETWEEN:
            self._sent = now
            self._flush()


def _constant(spreads: Sequence[float | None]) -> bool:
    """Whether all are known and tiny, and the last is not on its way up: a slow start is not the end."""
    known = [spread for spread in spreads if spread is not None]
    if len(known) < len(spreads) or max(known) >= CONSTANT_SPREAD:
        return False
    return known[-1] <= 2 * fmean(known)


def _to_parent(content: dict[str, Any]) -> None:
    if ENVIRONMENT_FLAG in os.environ:
        send_progress("training", content)


def _json_number(value: float | None) -> float | int | str | None:
    """JSON has no NaN and no infinity: they are sent as text."""
    return value if value is None or math.isfinite(value) else str(float(value))
