"""A file of the data set, whole and certain: fetched beside its place, checked, hashed, moved, and a receipt last.

`live.parquet` has another content every day under the same name and nearly the same size. So nothing is reused or
continued on the strength of a name or a size: the server's own label of the content (its ETag) must agree.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eraflow.disk.atomic import StorageError, storage_errors, write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.locks import hold
from eraflow.numerai.arrivalcheck import AGAIN, ArrivalCheck, says_nothing
from eraflow.numerai.checksums import Labels, measure
from eraflow.numerai.errors import (
    DownloadBrokenError,
    DownloadCorruptError,
    TournamentError,
)
from eraflow.numerai.filenames import signed_url
from eraflow.numerai.graphql import GraphQLClient
from eraflow.numerai.httpstream import Offer, check_time, first_bytes, open_rest, open_whole, pieces
from eraflow.numerai.receipts import (
    Receipt,
    forget,
    read_receipt,
    same_content,
    seal,
    write_receipt,
)

Progress = Callable[[int, int], None]

SPARE_BYTES = 64 << 20  # left free beside the file: receipts, logs, and other programs of the machine
# A broken transfer is continued from a little before its end: the same label does not always promise the same bytes.
OVERLAP_BYTES = 64 << 10
_LEAST_KEPT_BYTES = 256
_GOOD_PIECE_BYTES = 1 << 20
_LOCK_SECONDS = 0.5


def download(
    graphql: GraphQLClient,
    name: str,
    destination: Path,
    verify: Callable[[Path], object],
    progress: Progress | None = None,
    *,
    sealed: bool = True,
    labels: Labels | None = None,
    spoilt: Mapping[str, str] = MappingProxyType({}),
) -> Receipt:
    """Fetch `name` to the file `destination`, unless the very same content is there already.

    Args:
        graphql: the way to the API.
        name: as in the list of files, such as `v5.3/live.parquet`.
        destination: the file to write; its folder is made.
        verify: raises when the file at a path is faulty; called before the file gets its name.
        progress: called with (bytes done, bytes in all; 0 when not known).
        sealed: `verify` decodes all of it, so that it gets its receipt; else the caller decodes it and calls `seal`.
        labels: what other files showed of the server's labels.
        spoilt: sha256 of contents that were found damaged after they had arrived, and why.

    Raises:
        DownloadCorruptError: it arrived damaged every time.
        NoSuchFileError, DownloadRefusedError, ServerDownError, ServerFaultError, DeadlineError.
        StorageError: no space, or no permission. What was at `destination` before is unchanged.
    """
    destination = Path(destination)
    with storage_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
    until = graphql.policy.clock() + graphql.policy.transfer_seconds
    arrival = ArrivalCheck(name, verify, labels or Labels(), spoilt)
    fetch = _Fetch(graphql, name, destination, arrival, progress or _no_progress, until, sealed=sealed)
    with _turn(fetch):
        destination.with_name(f"{destination.name}.temp").unlink(missing_ok=True)  # numerapi would splice onto it
        return _until_here(fetch)


def _until_here(fetch: _Fetch) -> Receipt:
    """Attempts until the file is here; one that brought the file on by a good piece begins the count anew.

    Gigabytes over a line that breaks every few minutes arrive all the same; `transfer_seconds` bounds the whole.
    """
    policy, failed = fetch.policy, 0
    while True:
        before = fetch.have()
        try:
            return fetch.attempt()
        except TournamentError as error:
            if not error.passing:
                raise
            failed = 1 if fetch.have() - before >= _GOOD_PIECE_BYTES else failed + 1
            if failed >= policy.attempts:
                raise error.after(failed) from error
            policy.pause(f"downloading {fetch.name}", failed, error)


def _no_progress(done: int, total: int) -> None:
    """Nobody watches."""


class _Fetch:
    """The attempts at one file."""

    def __init__(
        self,
        graphql: GraphQLClient,
        name: str,
        destination: Path,
        arrival: ArrivalCheck,
        progress: Progress,
        until: float,
        *,
        sealed: bool,
    ) -> None:
        self.graphql, self.name, self.destination = graphql, name, destination
        self.until, self.policy = until, graphql.policy
        self._arrival, self._progress, self._sealed = arrival, progress, sealed
        self._partial = destination.with_name(f"{destination.name}.partial")
        self._note = destination.with_name(f"{destination.name}.partial.json")

    def have(self) -> int:
        """Bytes of an unfinished transfer that are kept for the next attempt."""
        return self._partial.stat().st_size if self._partial.is_file() else 0

    def attempt(self) -> Receipt:
        """One attempt, from a fresh signed address to the receipt."""
        url = signed_url(self.graphql, self.name)
        offer = open_whole(self.name, url, self.policy, self.until)
        try:
            kept = self._kept(offer)
            if kept is not None:
                return kept
            offer = self._continued(url, offer)
            self._check_space(offer)
            self._receive(offer)
        except BaseException:
            if not offer.can_resume:
                self._drop()
            raise
        finally:
            offer.close()
        return self._finish(offer)

    def _kept(self, offer: Offer) -> Receipt | None:
        """The receipt of what is at the destination, when it is sound and the server has the same."""
        receipt = read_receipt(self.destination, self.name)
        if receipt is None or not self.destination.is_file():
            return None
        if not same_content(receipt, offer) or self.destination.stat().st_size != receipt.bytes:
            return None
        if measure(self.destination, ()).sha256 != receipt.sha256:
            self.policy.log(f"{self.destination} was changed since it was fetched; fetching it anew")
            return None
        if receipt.checksum is not None:
            self._arrival.labels.prove(receipt.checksum, agrees=True)
        if receipt.decoded:  # by its sha256 these are the very bytes whose pages were all decoded
            return replace(receipt, reused=True)
        try:
            self._arrival.verify(self.destination)
        except Exception as error:
            if says_nothing(error):
                raise
            self.policy.log(f"{self.destination} does not pass its check ({error}); fetching it anew")
            return None
        kept = seal(receipt) if self._sealed else receipt
        return replace(kept, reused=True)

    def _continued(self, url: str, offer: Offer) -> Offer:
        """The rest of a broken transfer of the same content, or `offer` itself and no remains."""
        have = self.have()
        known = offer.can_resume and read_object(self._note) == self._label(offer)
        if known and _LEAST_KEPT_BYTES <= have < (offer.length or 0):
            rest = self._rest(url, offer, have)
            if rest is not None:
                offer.close()
                self.policy.log(f"downloading {self.name}: going on after {have} of {offer.length} bytes")
                return rest
        self._drop()
        return offer

    def _rest(self, url: str, offer: Offer, have: int) -> Offer | None:
        """What follows the `have` bytes that are here; None when the server cannot, or when its bytes are others."""
        overlap = min(OVERLAP_BYTES, have // 2)
        rest = open_rest(self.name, url, have - overlap, offer, self.policy, self.until)
        if rest is None:
            return None
        try:
            theirs = first_bytes(self.name, rest, overlap, self.policy, self.until)
        except BaseException:
            rest.close()
            raise
        if theirs == _tail(self._partial, overlap):
            return replace(rest, start=have)
        rest.close()
        self.policy.log(f"downloading {self.name}: the server now has other bytes under the same label; from the start")
        return None

    def _label(self, offer: Offer) -> dict[str, Any]:
        return {"name": self.name, "etag": offer.etag, "length": offer.length}

    def _check_space(self, offer: Offer) -> None:
        needed = (offer.length or 0) - offer.start + SPARE_BYTES
        free = shutil.disk_usage(self.destination.parent).free
        if free < needed:
            raise StorageError(
                f"{self.name} needs {needed / 2**20:,.0f} MiB in {self.destination.parent}, "
                f"{free / 2**20:,.0f} MiB are free",
                "free some space, or choose another folder (home), then run again",
            )

    def _receive(self, offer: Offer) -> None:
        done, total = offer.start, offer.length or 0
        # The outermost block, because closing a file on a full disk fails once more.
        with storage_errors(self.destination):
            if offer.start == 0 and offer.can_resume:
                write_json(self._note, self._label(offer))
            with self._partial.open("ab" if offer.start else "wb") as handle:
                for piece in pieces(self.name, offer, self.policy, self.until):
                    handle.write(piece)
                    done += len(piece)
                    self._progress(done, total)
                handle.flush()
                os.fsync(handle.fileno())

    def _finish(self, offer: Offer) -> Receipt:
        size = self._partial.stat().st_size
        if offer.length is not None and size != offer.length:
            if size > offer.length or not offer.can_resume:
                self._drop()
            raise DownloadBrokenError(f"{self.name} arrived with {size} of {offer.length} bytes", AGAIN)
        measured = measure(self._partial, offer.promises)
        try:
            self._arrival.check(self._partial, measured)
        except (DownloadBrokenError, DownloadCorruptError):
            self._drop()
            raise
        with storage_errors(self.destination):
            forget(self.destination)  # no receipt may stand beside another content
            os.replace(self._partial, self.destination)
            self._note.unlink(missing_ok=True)
        checksum = next((promise.kind for promise in measured.kept), None)
        receipt = Receipt(
            self.name, self.destination, size, measured.sha256, offer.etag, offer.last_modified,
            checksum=checksum, decoded=self._sealed,
        )  # fmt: skip
        write_receipt(receipt)
        return receipt

    def _drop(self) -> None:
        with storage_errors(self.destination):
            self._partial.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as handle:
        handle.seek(-count, os.SEEK_END)
        return handle.read(count)


@contextmanager
def _turn(fetch: _Fetch) -> Iterator[None]:
    """One process at a time fetches to a destination; the next one then finds the file and its receipt."""
    path = fetch.destination.with_name(f".{fetch.destination.name}.lock")
    while (handle := hold(path)) is None:
        check_time(fetch.name, fetch.policy, fetch.until)
        fetch.policy.sleep(_LOCK_SECONDS)
    with handle:
        yield
