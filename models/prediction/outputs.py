"""The two forms in which predictions leave: as they are, in parquet, or ranked, as a CSV that can be submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from eraflow.disk.atomic import StorageError, atomic_path
from eraflow.errors import SettingsError
from eraflow.scoring.insample import UNKNOWN, Origin
from eraflow.scoring.originfile import write_side
from eraflow.scoring.ranking import EraGroups, order_within_eras
from models.base.protocol import FloatArray
from models.prediction.resumablefile import ResumableFile

Hashes = npt.NDArray[np.uint64]
SCHEMA = pa.schema([("id", pa.large_string()), ("era", pa.large_string()), ("prediction", pa.float64())])
GROUP_ROWS = 1 << 16
"""Rows of a row group of the finished parquet file, at least; whole eras."""
IDS_AT_ONCE = 1 << 20
READ_BYTES = 1 << 18


class Output(Protocol):
    """How predictions are laid down: each era appended to a resumable file, which is then made the output.

    Attributes:
        name: of the form; part of what a leftover is known by.
    """

    name: str

    def head(self) -> bytes:
        """What the resumable file begins with."""

    def era(self, era: str, ids: pl.Series, values: FloatArray) -> bytes:
        """What one era adds to it."""

    def finish(self, file: ResumableFile, out: Path) -> None:
        """Make the output of the complete resumable file, all of which is on the disk."""


def output_for(out: Path, origin: Origin = UNKNOWN) -> Output:
    """The form that the name of the output asks for; the output carries `origin` with it.

    Raises:
        SettingsError: it ends neither in .csv nor in .parquet; a packed CSV would not be what its name says.
        StorageError: a folder has that name.
    """
    if out.is_dir():  # found out now, not after hours
        raise StorageError(f"cannot write {out}: it is a folder", "name a file in it that ends in .csv or .parquet")
    forms: dict[str, Callable[[Origin], Output]] = {".csv": SubmissionCsv, ".parquet": RawParquet}
    form = forms.get(out.suffix.lower())
    if form is None:
        raise SettingsError(f"{out} ends neither in .csv nor in .parquet", "give the output one of these endings")
    return form(origin)


class RawParquet:
    """Columns id, era and prediction (float64, as the predictor gives them), rows in the order of the data.

    It grows as Arrow record batches, because parquet has its index at the end; the same content gives the same bytes.
    Which eras the members learned from stands in its metadata.
    """

    name = "parquet"

    def __init__(self, origin: Origin = UNKNOWN) -> None:
        self._origin = origin

    def head(self) -> bytes:
        """The schema as an Arrow stream begins with it."""
        content: bytes = SCHEMA.serialize().to_pybytes()
        return content

    def era(self, era: str, ids: pl.Series, values: FloatArray) -> bytes:
        """One record batch."""
        eras = pa.repeat(pa.scalar(era, pa.large_string()), len(ids))
        batch = pa.RecordBatch.from_arrays([ids.to_arrow(), eras, pa.array(values)], schema=SCHEMA)
        content: bytes = batch.serialize().to_pybytes()
        return content

    def finish(self, file: ResumableFile, out: Path) -> None:
        """Lay the batches out as parquet, some eras at a time."""
        import pyarrow.parquet as pq

        schema = SCHEMA.with_metadata(self._origin.as_metadata())
        with (
            atomic_path(out) as temporary,
            pa.OSFile(str(file.part)) as source,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for table in _gathered(pa.ipc.open_stream(source)):
                writer.write_table(table.cast(schema), row_group_size=max(table.num_rows, 1))
        file.discard()


class SubmissionCsv:
    """`id,prediction`: the form of `eraflow.numerai.submission_csv`, era after era.

    Within an era the rows are sorted by id, and a prediction is its tie-kept rank, (rank - 0.5)/n. So a file of one era
    is the submission of that era, and one of many eras is what Numerai's diagnostics take. Which eras the members
    learned from stands in a side file.
    """

    name = "csv"

    def __init__(self, origin: Origin = UNKNOWN) -> None:
        self._origin = origin

    def head(self) -> bytes:
        """The header."""
        from eraflow.numerai.submission_csv import HEADER

        return f"{HEADER}\n".encode()

    def era(self, era: str, ids: pl.Series, values: FloatArray) -> bytes:
        """The lines of one era.

        Raises:
            BadIdError, DuplicateIdsError: ids that cannot stand in a submission.
        """
        from eraflow.numerai.submission_csv import DECIMALS

        check_era_ids(era, ids)
        order = order_within_eras(np.ascontiguousarray(values, dtype=np.float64), EraGroups.from_sizes([len(values)]))
        ranks = np.empty(len(values))
        ranks[order.rows] = (order.ranks() - 0.5) / len(values)
        rows = sorted(zip(ids.to_list(), ranks.tolist(), strict=True))
        return "".join(f"{name},{rank:.{DECIMALS}f}\n" for name, rank in rows).encode("utf-8")

    def finish(self, file: ResumableFile, out: Path) -> None:
        """Give the file its name, when no id stands in it twice.

        Raises:
            DuplicateIdsError: an id stands in two eras.
        """
        _check_unique(file.part)
        write_side(out, file.part, self._origin)  # it knows the content, so that it may come first
        file.give_name(out)


def check_era_ids(era: str, ids: pl.Series) -> None:
    """Raise BadIdError or DuplicateIdsError unless every id of an era can stand in a submission, once."""
    from eraflow.numerai.submission_csv import BadIdError, DuplicateIdsError, is_plain_id

    names = ids.to_list()
    bad = [name for name in names if not is_plain_id(name)]
    if bad:
        raise BadIdError(
            f"{len(bad)} of {len(names)} ids of era {era} cannot stand in a CSV as they are, such as "
            f"{str(bad[0])[:40]!r}",
            "use ids of plain letters and digits that are no numbers, as in Numerai's live file",
        )
    if len(set(names)) != len(names):
        twice = sorted(ids.filter(ids.is_duplicated()).unique().to_list())
        raise DuplicateIdsError(
            f"{len(twice)} ids appear more than once in era {era}, such as {', '.join(twice[:3])}",
            "fetch the file anew",
        )


def _check_unique(part: Path) -> None:
    """Look for an id in two eras, in as many passes as keep a million hashes in memory at a time."""
    from eraflow.numerai.submission_csv import DuplicateIdsError

    passes = 1 + sum(text.count(b"\n") for text in _blocks(part)) // IDS_AT_ONCE
    for number in range(passes):
        hashes = [_hashes(text, number, passes) for text in _blocks(part)]
        ordered = np.sort(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        name = _really_twice(part, twice) if twice.size else None
        if name is not None:
            raise DuplicateIdsError(f"id {name} appears in two eras", "fetch the file anew")


def _blocks(part: Path) -> Iterator[bytes]:
    """Whole lines of the CSV, without its header."""
    with part.open("rb") as file:
        file.readline()
        while block := file.read(READ_BYTES):
            yield block + file.readline()


def _ids(text: bytes) -> pl.Series:
    return pl.Series([line.split(b",", 1)[0] for line in text.splitlines()], dtype=pl.Binary).cast(pl.String)


def _hashes(text: bytes, number: int, passes: int) -> Hashes:
    found = np.asarray(_ids(text).hash(seed=1).to_numpy(), dtype=np.uint64)
    return np.asarray(found[found % np.uint64(passes) == number])


def _really_twice(part: Path, hashes: Hashes) -> str | None:
    """An id that occurs twice among those with these hashes: two ids may share one."""
    seen: set[str] = set()
    for text in _blocks(part):
        ids = _ids(text)
        for name in ids.filter(np.isin(ids.hash(seed=1).to_numpy(), hashes)).to_list():
            if name in seen:
                return str(name)
            seen.add(name)
    return None


def _gathered(batches: pa.RecordBatchStreamReader) -> Iterator[pa.Table]:
    """Tables of whole eras, of some ten thousand rows each."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= GROUP_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
