"""The client of the tournament that the rest of Eraflow uses: one object over numerapi.

    tournament = Tournament(Endpoint(None, public_id, secret_key), call_seconds=30, transfer_seconds=3600, attempts=5)
    current = tournament.wait_for_round(wait_seconds=21_600, poll_seconds=60)
    tournament.download("v5.3/live.parquet", folder / "live.parquet", verifier("live.parquet"))
    tournament.submit(csv, tournament.model_id(None), current.number, confirm_seconds=600)

Every call has a deadline, is repeated only when waiting can help, and fails by a name (see `api_errors`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from eraflow.machine.awake import awake
from eraflow.numerai import download, filenames, livescores, pickles, rounds, slotroute, submission_state, upload
from eraflow.numerai.answers import Account, ModelRow, question
from eraflow.numerai.checksums import Labels
from eraflow.numerai.download import Progress
from eraflow.numerai.errors import NoSuchModelError
from eraflow.numerai.graphql import Endpoint, GraphQLClient
from eraflow.numerai.livescores import ScoreRow
from eraflow.numerai.pickledelivery import DeliveredModel, RoundToServe, Waits, delivered, followed
from eraflow.numerai.picklediagnostics import Diagnostics, diagnostics_of
from eraflow.numerai.picklefollow import Show
from eraflow.numerai.pickles import ActivePickle, PickleState
from eraflow.numerai.pickleupload import WantedUpload
from eraflow.numerai.receipts import Receipt
from eraflow.numerai.retry import LEAST_BYTES_PER_SECOND, RetryPolicy
from eraflow.numerai.rounds import Round
from eraflow.numerai.serverclock import ServerClock
from eraflow.numerai.submission_state import SubmissionState

CLASSIC = 8  # the number of the tournament, as in numerapi
# The query of numerapi's get_models.
_MODELS = """
    query {
        account {
            models {
                id
                name
                tournament
            }
        }
    }
"""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _silent(_: str) -> None:
    """The log of a caller who wants none."""


@dataclass(frozen=True)
class Slot:
    """A model slot of the account: its id, and the name it has for people."""

    id: str
    name: str


class Tournament:
    """Everything that is asked of Numerai, or of a server that speaks its protocol.

    Args:
        endpoint: where, and with which key.
        call_seconds: deadline of one attempt of an API call, the longest silence within a transfer, and the time
            over which its rate is taken.
        transfer_seconds: deadline of one download or upload.
        attempts: attempts of a call that fails for a passing reason.
        log: receives a line for whatever is waited for or repeated.
        warn: receives a line for what somebody should see to, such as a wrong clock; `log` by default.
        least_rate: bytes a second below which a transfer counts as stalled.
        sleep, clock, jitter, now: time and chance, replaced in tests. Rounds are judged by the server's clock, which
            is `now` plus an offset read from the server.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        call_seconds: float = 30.0,
        transfer_seconds: float = 3600.0,
        attempts: int = 5,
        log: Callable[[str], None] = _silent,
        sleep: Callable[[float], None] = time.sleep,
        *,
        clock: Callable[[], float] = awake,
        jitter: Callable[[], float] = random.random,
        now: Callable[[], datetime] = _utc_now,
        warn: Callable[[str], None] | None = None,
        least_rate: float = LEAST_BYTES_PER_SECOND,
    ) -> None:
        policy = RetryPolicy(call_seconds, transfer_seconds, attempts, log, sleep, clock, jitter, least_rate)
        self._graphql = GraphQLClient(endpoint, policy)
        self._warn = warn or log
        self._now = ServerClock(self._graphql, now, self._warn)
        self._labels = Labels()  # what the files so far showed of the file server's labels
        self._paid: dict[int, dict[str, float]] = {}  # round -> its multipliers when it was last read

    def __repr__(self) -> str:
        return f"Tournament({self._graphql.endpoint.name})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Tournament holds an API key and is never pickled; make a new one where it is needed")

    def clock_offset(self) -> timedelta:
        """How far the tournament's clock is ahead of this machine's; zero when it is not known to differ."""
        return self._now.offset()

    def now(self) -> datetime:
        """The time at the tournament, UTC: rounds open and close by it."""
        return self._now()

    def current_round(self) -> Round | None:
        """The current round with its multipliers; None between two rounds."""
        found = rounds.current_round(self._graphql, self._now())
        return found if found is None else self._noted(found)

    def coming_round(self) -> Round | None:
        """The round that opens next; None where the API does not tell it ahead."""
        return rounds.coming_round(self._graphql, self._now())

    def wait_for_round(self, wait_seconds: float, poll_seconds: float) -> Round:
        """Poll until a round is open; RoundClosedError after `wait_seconds`."""
        return self._noted(rounds.wait_for_round(self._graphql, wait_seconds, poll_seconds, self._now))

    def _noted(self, found: Round) -> Round:
        """The round; said when it pays otherwise than when it was last read."""
        before = self._paid.get(found.number, found.multipliers)
        if before != found.multipliers:
            self._warn(f"the multipliers of round {found.number} have changed from {before} to {found.multipliers}")
        self._paid[found.number] = found.multipliers
        return found

    def list_files(self, version: str | None = None) -> list[str]:
        """Names of the data set's files, such as `v5.3/live.parquet`, sorted."""
        return filenames.list_files(self._graphql, version)

    def download(
        self,
        name: str,
        destination: Path,
        verify: Callable[[Path], object],
        progress: Progress | None = None,
        *,
        sealed: bool = True,
        spoilt: Mapping[str, str] = MappingProxyType({}),
    ) -> Receipt:
        """Fetch a file to the path `destination`, checked and with a receipt; see `transfer.download`."""
        return download.download(
            self._graphql, name, destination, verify, progress, sealed=sealed, labels=self._labels, spoilt=spoilt
        )

    @property
    def has_key(self) -> bool:
        """Whether questions that need a key can be asked."""
        return self._graphql.endpoint.has_key

    def models(self) -> dict[str, str]:
        """The account's models: name -> id."""
        asked = question(_MODELS, "account", Account, {}, key=True)
        rows: list[ModelRow | None] = self._graphql.ask("listing the models", asked, needs_key=True).models
        return {row.name: row.id for row in rows if row is not None and row.tournament == CLASSIC}

    def model_id(self, name: str | None) -> str:
        """The id of a model; see `slot`."""
        return self.slot(name).id

    def slot(self, name: str | None) -> Slot:
        """A model slot; without a name, the only one.

        Raises:
            NoSuchModelError: there is none of that name, or none, or several and no name was given.
        """
        models = self.models()
        if name is not None and name in models:
            return Slot(models[name], name)
        if name is None and len(models) == 1:
            return Slot(next(iter(models.values())), next(iter(models)))
        if not models:
            raise NoSuchModelError("the account has no model", "create a model slot on the website, then run again")
        shown = get_close_matches(name, list(models), n=5, cutoff=0.0) if name else sorted(models)[:5]
        problem = f"the account has no model {name!r}" if name else "no model was named and the account has several"
        raise NoSuchModelError(f"{problem}: {len(models)} models, among them {', '.join(shown)}", "set submit.model")

    def submissions(self, model_id: str) -> list[SubmissionState]:
        """All submissions of a model, the newest first; those that cannot be read are left out."""
        return submission_state.submissions(self._graphql, model_id).states

    def live_scores(self, model_id: str, last_rounds: int | None = None) -> tuple[list[ScoreRow], int]:
        """What the submissions of a model have scored by now; see `livescores.live_scores`."""
        return livescores.live_scores(self._graphql, model_id, last_rounds)

    def filed(self, model_id: str, round_now: Round) -> SubmissionState | None:
        """The submission that counts for a model and an open round by now, whoever filed it; None without one."""
        return upload.filed_before(self._graphql, model_id, round_now.number, round_now.open_time)

    def submit(
        self,
        csv: Path,
        model_id: str,
        round_number: int,
        confirm_seconds: float,
        *,
        replace: bool | Collection[str] = False,
        name: str = "",
    ) -> SubmissionState:
        """File a CSV for a round and follow it until it is accepted; see `upload.submit`.

        What is filed for the round already is not sent again, and other predictions are replaced only when `replace`
        says so, of all or of the submissions with these ids: else the state of what is there is returned, with
        `already=True`. `name` begins the file's name there.
        """
        current = self.current_round()
        return upload.submit(
            self._graphql,
            Path(csv),
            model_id,
            round_number,
            confirm_seconds,
            current,
            self._now(),
            replace_other=replace,
            name=name,
        )

    def check_takes_predictions(self, slot: Slot) -> None:
        """Whether predictions may be sent to a slot; SlotHoldsPickleError where it runs an uploaded model."""
        slotroute.check_takes_predictions(self._graphql, slot.id, slot.name)

    def active_model(self, model_id: str) -> ActivePickle | None:
        """The uploaded model that a slot runs; None where it takes predictions."""
        return pickles.active_pickle(self._graphql, model_id)

    def unassign(self, model_id: str) -> None:
        """Let a slot run no model any more; it then takes predictions."""
        pickles.assign(self._graphql, model_id, None)

    def deliver_model(
        self,
        wanted: WantedUpload,
        model_id: str,
        round_now: Round | None,
        waits: Waits,
        show: Show,
        *,
        replace: bool = False,
    ) -> DeliveredModel:
        """Upload a model and follow it to the end of its run for the round; see `pickledelivery.delivered`."""
        serve = None if round_now is None else RoundToServe(round_now.number, round_now.open_time)
        return delivered(self._graphql, wanted, model_id, serve, waits, show, replace_predictions=replace)

    def follow_model(self, pickle_id: str, model_id: str, round_now: Round, waits: Waits, show: Show) -> DeliveredModel:
        """Follow the model that a slot runs through its run for the round; see `pickledelivery.followed`."""
        serve = RoundToServe(round_now.number, round_now.open_time)
        return followed(self._graphql, pickle_id, model_id, serve, waits, show)

    def diagnostics(self, model_id: str, state: PickleState, seconds: float) -> Diagnostics | None:
        """The diagnostics of an uploaded model, as far as they have come; see `picklediagnostics.diagnostics_of`."""
        return diagnostics_of(self._graphql, model_id, state, seconds)

    def gives_secret_away(self, content: bytes) -> bool:
        """Whether the secret half of the key stands in some bytes that are about to leave this computer."""
        secret = self._graphql.endpoint.secret_key
        return bool(secret) and str(secret).encode() in content
