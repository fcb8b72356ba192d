"""The files of a round, fetched until they are whole: a file that arrived and cannot be decoded is fetched again.

Decoding is the work of a stage, in a child; see `eraflow.numerai.inspection`. A file gets its receipt after that, so
that what is spoilt neither is learnt from nor stands in the way of a later week.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from eraflow.errors import EraflowError
from eraflow.machine.failures import StageCrashed, StageError
from eraflow.machine.progress import readable_seconds
from eraflow.numerai.errors import TournamentError
from eraflow.numerai.filecheck import check_ends, verify_json
from eraflow.numerai.inspection import NOW_READING, SpoiltFilesError
from eraflow.numerai.receipts import Receipt, forget, seal
from eraflow.runs.attempt import StageExhaustedError
from eraflow.runs.onlookers import News, tell
from eraflow.runs.weekrecord import timed

STAGE = "contract"
"""The stage that decodes what is new and checks the contract."""
LIVE_STAGE = "contract-live"
"""The stage that decodes a live file which came alone."""
SAY_EVERY_SECONDS = 10.0

T = TypeVar("T")


class Fetching:
    """Files that are fetched until a stage has decoded them all.

    Args:
        download: `Tournament.download`.
        places: name in the data set -> where the file is to lie.
        attempts: of each file.
        run_dir: folder of the run, with the folder of the stage.
        stage: name of the stage that decodes them.
        log, warn: take lines of text.

    Attributes:
        receipts: of the files, by name.
    """

    def __init__(
        self,
        download: Callable[..., Receipt],
        places: Mapping[str, Path],
        *,
        attempts: int,
        run_dir: Path,
        log: Callable[[str], None],
        warn: Callable[[str], None],
        stage: str = STAGE,
    ) -> None:
        self._download, self._places, self._attempts = download, places, attempts
        self._run_dir, self._stage = run_dir, stage
        self._log, self._warn = log, warn
        self.receipts: dict[str, Receipt] = {}
        self._spoilt: dict[str, dict[str, str]] = {name: {} for name in places}  # name -> sha256 -> why
        self._fetched_twice = False

    def until_whole(self, inspect: Callable[[Mapping[str, Receipt]], T]) -> T:
        """Fetch, inspect and seal; what is found spoilt is fetched again, within the attempts.

        Args:
            inspect: runs the stage over the files.

        Raises:
            SpoiltFilesError: files arrived spoilt at every attempt.
            DownloadCorruptError: a file arrived twice with the same spoilt bytes.
            EraflowError: what else `inspect` raises.
        """
        for _ in range(1, self._attempts):
            try:
                return self._once(inspect)
            except (SpoiltFilesError, StageCrashed) as error:
                spoilt = error if isinstance(error, SpoiltFilesError) else _of_crash(self._run_dir / self._stage, error)
                if spoilt is None:
                    raise
                self._reject(spoilt.faults)
            except EraflowError as error:
                if not self._doubtful(error):
                    raise
                self._warn(f"{error}. No checksum speaks for these files: they are fetched once more")
                self._fetch_all_anew()
        return self._once(inspect)

    def _once(self, inspect: Callable[[Mapping[str, Receipt]], T]) -> T:
        with timed(self._run_dir, "refresh"):
            self.receipts = {name: self._fetch(name) for name in self._places}
        found = inspect(self.receipts)
        self.receipts = {name: seal(receipt) for name, receipt in self.receipts.items()}
        return found

    def _fetch(self, name: str) -> Receipt:
        started = time.monotonic()
        verify = verify_json if name.endswith(".json") else check_ends
        shown = DownloadShown(name, self._log)
        receipt = self._download(name, self._places[name], verify, shown, sealed=False, spoilt=self._spoilt[name])
        how = "unchanged" if receipt.reused else f"{receipt.bytes / 1e6:.1f} MB in {time.monotonic() - started:.1f} s"
        self._log(f"{name} {how}")
        return receipt

    def _reject(self, faults: Mapping[str, str]) -> None:
        """Nothing vouches for these files any more, so that they are fetched again, now or by the next run."""
        for name, why in faults.items():
            receipt = self.receipts[name]
            self._spoilt[name][receipt.sha256] = why
            self._warn(f"{receipt.path} is damaged ({why}); it is fetched again")
            forget(receipt.path)

    def _doubtful(self, error: EraflowError) -> bool:
        """Whether spoilt bytes that can be decoded may be behind a broken contract, and no other copy was tried yet."""
        ours = isinstance(error, StageError | StageExhaustedError | TournamentError)
        return not (ours or error.exit_code != 1 or self._fetched_twice) and bool(self._unproved())

    def _unproved(self) -> list[Receipt]:
        """The files that nobody has decoded before and no checksum of the server speaks for."""
        return [receipt for receipt in self.receipts.values() if not receipt.decoded and receipt.checksum is None]

    def _fetch_all_anew(self) -> None:
        self._fetched_twice = True
        for receipt in self._unproved():
            forget(receipt.path)


def _of_crash(folder: Path, error: StageCrashed) -> SpoiltFilesError | None:
    """The file over which the child died in native code; None where it was not decoding one."""
    try:
        name = (folder / NOW_READING).read_text(encoding="utf-8")
    except OSError:
        return None
    return SpoiltFilesError({name: f"the program that decoded it {error.problem.partition(' ')[2]}"})


class DownloadShown:
    """A log line every ten seconds of a long download, with the time left."""

    def __init__(self, name: str, log: Callable[[str], None]) -> None:
        self.name, self.log = name, log
        self.started = self.said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take the bytes that are there and the bytes in all."""
        now = time.monotonic()
        if not 0 < done <= total:
            return
        left = (now - self.started) * (total - done) / done
        label = f"{self.name}, {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        tell(News("refresh", fraction=done / total, label=label, seconds_left=left))
        if now - self.said < SAY_EVERY_SECONDS:
            return
        self.said = now
        self.log(f"{self.name} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB, {readable_seconds(left)} left")
