"""The checks of a submission before it is sent: ten on its bytes, then Numerai's own validation."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numerai_tools.submissions import validate_submission_numerai

from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.numerai.submission_csv import (
    HEADER,
    EmptyLiveError,
)

CHECK_NAMES = (
    "row_count",
    "columns",
    "unique_ids",
    "exact_id_set",
    "no_nan_or_inf",
    "range",
    "encoding",
    "line_ends",
    "plausible_size",
    "reproducible",
    "numerai_tools",
)

_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Characters of a row beside its id: a comma, a value from "0.1" to "1.2345678901234567e-05", a line end.
_LEAST_ROW, _MOST_ROW = 5, 26


class SubmissionCheckError(EraflowError):
    """A submission does not pass its checks and must not be sent. Write it anew from this round's predictions."""

    code = "submission_check"


@dataclass(frozen=True)
class SubmissionCheck:
    """One check by name, whether it passed, and what was seen."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class SubmissionRecord:
    """What is known of a submission before it is sent.

    Attributes:
        path: the CSV.
        sha256: of its bytes.
        rows: rows below the header.
        checks: the ten checks in the order of `CHECK_NAMES`, then numerai_tools.
    """

    path: str
    sha256: str
    rows: int
    checks: tuple[SubmissionCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def require(self) -> SubmissionRecord:
        """This record, when every check passed.

        Raises:
            SubmissionCheckError: naming each check that failed.
        """
        failed = [f"{check.name}: {check.text}" for check in self.checks if not check.passed]
        if failed:
            raise SubmissionCheckError(
                f"{self.path} fails {len(failed)} of {len(self.checks)} checks: {'; '.join(failed)}",
                "do not send it; predict again on the live file of this round",
            )
        return self

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SubmissionRecord:
        """The record that `as_dict` described."""
        checks = tuple(SubmissionCheck(**check) for check in values["checks"])
        return cls(str(values["path"]), str(values["sha256"]), int(values["rows"]), checks)

    @staticmethod
    def sha256_of(path: Path) -> str:
        """The sha256 of a CSV's bytes: what a second prediction is compared by."""
        return file_sha256(path)


def check_submission(path: Path, live_ids: Sequence[str], repeat_sha256: str | None) -> SubmissionRecord:
    """Look at the bytes of a submission.

    Args:
        path: the CSV.
        live_ids: the ids of the round's live file.
        repeat_sha256: sha256 of the CSV of a second prediction made in a fresh process. Without one, the check
            `reproducible` does not pass.

    Raises:
        EmptyLiveError: there are no live ids.
        SubmissionCheckError: the CSV cannot be read at all.
    """
    if len(live_ids) == 0:
        raise EmptyLiveError("the live file has no rows", "fetch it anew when the round is open; nothing was sent")
    sheet = _Sheet(_read(Path(path)), [str(name) for name in live_ids])
    digest = hashlib.sha256(sheet.content).hexdigest()
    ten = [SubmissionCheck(name, *getattr(sheet, name)()) for name in CHECK_NAMES[:9]]
    ten.append(SubmissionCheck("reproducible", *_reproducible(digest, repeat_sha256)))
    official = SubmissionCheck("numerai_tools", *_official(sheet.content, sheet.live))
    return SubmissionRecord(str(path), digest, len(sheet.rows), (*ten, official))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SubmissionCheckError(f"cannot read {path}: {error.strerror}", "write the submission first") from error


Finding = tuple[bool, str]


class _Sheet:
    """The bytes of a CSV, taken apart without a CSV reader: a reader forgives what a server may not."""

    def __init__(self, content: bytes, live: list[str]) -> None:
        self.content, self.live = content, live
        text = content.removeprefix(_BOM).decode("utf-8", errors="replace")
        lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
        self.header, self.rows = lines[0], [line.split(",") for line in lines[1:]]
        self.ids = [row[0] for row in self.rows]
        self.texts = [row[1] if len(row) > 1 else "" for row in self.rows]
        self.numbers = [float(text) if _NUMBER.fullmatch(text) else math.nan for text in self.texts]

    def row_count(self) -> Finding:
        return len(self.rows) == len(self.live), f"{len(self.rows)} rows for {len(self.live)} live ids"

    def columns(self) -> Finding:
        odd = sum(len(row) != 2 for row in self.rows)
        passed = self.header == HEADER and odd == 0
        return passed, f"header {self.header[:60]!r}, {odd} rows without exactly two fields"

    def unique_ids(self) -> Finding:
        twice = len(self.ids) - len(set(self.ids))
        return twice == 0, f"{twice} repeated ids"

    def exact_id_set(self) -> Finding:
        missing, extra = set(self.live) - set(self.ids), set(self.ids) - set(self.live)
        shown = "".join(f", such as {name[:40]!r}" for name in sorted(missing or extra)[:1])
        return not missing and not extra, f"{len(missing)} live ids missing, {len(extra)} unknown ids{shown}"

    def no_nan_or_inf(self) -> Finding:
        bad = [text for text, number in zip(self.texts, self.numbers, strict=True) if not math.isfinite(number)]
        shown = f", such as {bad[0][:40]!r}" if bad else ""
        return not bad, f"{len(bad)} predictions are no finite numbers{shown}"

    def range(self) -> Finding:
        finite = [number for number in self.numbers if math.isfinite(number)]
        if not finite:
            return False, "no predictions"
        low, high, distinct = min(finite), max(finite), len(set(finite))
        passed = low > 0 and high < 1 and (distinct > 1 or len(finite) == 1)
        return passed, f"from {low:.10g} to {high:.10g} (must lie between 0 and 1), {distinct} distinct values"

    def encoding(self) -> Finding:
        if self.content.startswith(_BOM):
            return False, "starts with a byte order mark"
        try:
            self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            return False, f"byte {error.start} is not UTF-8"
        return b"\0" not in self.content, "UTF-8 without BOM" if b"\0" not in self.content else "holds a NUL byte"

    def line_ends(self) -> Finding:
        carriage, empty = self.content.count(b"\r"), b"\n\n" in self.content or self.content.startswith(b"\n")
        passed = carriage == 0 and not empty and self.content.endswith(b"\n")
        end = "ends with LF" if self.content.endswith(b"\n") else "has no LF at its end"
        return passed, f"{carriage} CR, {'an' if empty else 'no'} empty line, {end}"

    def plausible_size(self) -> Finding:
        base = len(HEADER) + 1 + sum(len(name.encode("utf-8")) for name in self.live)
        low, high = base + _LEAST_ROW * len(self.live), base + _MOST_ROW * len(self.live)
        size = len(self.content)
        return low <= size <= high, f"{size} bytes, {low} to {high} expected for {len(self.live)} rows"


def _reproducible(digest: str, repeat_sha256: str | None) -> Finding:
    if repeat_sha256 is None:
        return False, "no second prediction in a fresh process was made"
    if digest != repeat_sha256:
        return False, f"sha256 {digest[:12]}, a second prediction gave {repeat_sha256[:12]}"
    return True, f"a second prediction gave the same sha256 {digest[:12]}"


def _official(content: bytes, live: list[str]) -> Finding:
    try:
        frame = pd.read_csv(
            io.BytesIO(content), dtype={"id": str}, keep_default_na=False, na_values={"prediction": [""]}
        )
        validate_submission_numerai(pd.Series(live, name="id"), frame)
    except Exception as error:  # noqa: BLE001  (it asserts; and whatever it stumbles over is a finding)
        return False, str(error).strip().split("\n")[0][:300] or type(error).__name__
    return True, "accepted by numerai_tools.submissions.validate_submission_numerai"
