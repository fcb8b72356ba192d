"""Whether the content that arrived is whole and is what the server speaks of, before it gets its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from eraflow.data.readable import MissingFileError, UnreadableFileError
from eraflow.disk.atomic import StorageError
from eraflow.machine.failures import classify
from eraflow.numerai.checksums import WHOLE, Labels, Measured, Promise
from eraflow.numerai.errors import DownloadBrokenError, DownloadCorruptError

AGAIN = "run again; if it stays so, the file itself is faulty: wait for Numerai to repair it, or replace your own"


class ArrivalCheck:
    """Judges the contents that arrive of one file, and remembers those that were faulty.

    Args:
        name: of the file in the data set.
        verify: raises when the file at a path is faulty.
        labels: what the server's labels were found to be, shared by the files of a round.
        spoilt: sha256 of contents that are known to be damaged, and why.
    """

    def __init__(self, name: str, verify: Callable[[Path], object], labels: Labels, spoilt: Mapping[str, str]) -> None:
        self.verify, self.labels = verify, labels
        self._name = name
        self._faulty = dict(spoilt)  # sha256 of contents that arrived and are faulty, and why
        self._doubted: set[str] = set()  # hashes of contents that a label, which may be no checksum, speaks against

    def check(self, path: Path, measured: Measured) -> None:
        """Raise where the content at `path` is faulty, or is not what the server speaks of.

        Raises:
            DownloadBrokenError: it is to be fetched once more.
            DownloadCorruptError: the same bytes arrived twice, so a third time will not help.
        """
        try:
            self.verify(path)
        except Exception as error:
            if says_nothing(error):
                raise
            self._refuse(str(error), measured, cause=error)
        if measured.sha256 in self._faulty:
            self._refuse(self._faulty[measured.sha256], measured)
        objection = self._objection(measured)
        if objection is not None:
            told = f"{objection.source} {objection.value[:12]}"
            sure = objection.certain or self.labels.proved.get(objection.kind, False)
            self._refuse(f"its bytes are not those that the server speaks of ({told})", measured, sure=sure)

    def _objection(self, measured: Measured) -> Promise | None:
        """The promise that says that these bytes are not the server's; None where there is none, or none to rely on.

        A label that looks like an MD5 and disagrees may be something else with this server. Then the file is fetched
        once more: the same bytes again show that it is no checksum.
        """
        for promise in measured.kept:
            self.labels.prove(promise.kind, agrees=True)
        certain = next((promise for promise in measured.broken if promise.certain), None)
        if certain is not None or any(promise.certain for promise in measured.kept):
            return certain
        for promise in measured.broken:
            proved = self.labels.proved.get(promise.kind)
            if proved:
                return promise
            if proved is None and promise.kind == WHOLE:
                if measured.sha256 not in self._doubted:
                    self._doubted.add(measured.sha256)
                    return promise
                self.labels.prove(WHOLE, agrees=False)
        return None

    def _refuse(self, why: str, measured: Measured, *, cause: Exception | None = None, sure: bool = True) -> NoReturn:
        """Raise; the same bytes twice are the server's fault, and a third time will not help."""
        problem = f"{self._name} arrived complete, but is faulty: {why}"
        if sure and measured.sha256 in self._faulty:
            raise DownloadCorruptError(f"{problem} (fetched twice, sha256 {measured.sha256[:12]})", AGAIN) from cause
        if sure:
            self._faulty[measured.sha256] = why
        raise DownloadBrokenError(problem, AGAIN) from cause


def says_nothing(error: Exception) -> bool:
    """Whether a check failed for a reason that says nothing about the bytes."""
    return isinstance(error, StorageError | UnreadableFileError | MissingFileError) or classify(error) in (
        "oom",
        "disk_full",
    )
