"""What a destination has prepared and not yet sent."""

from __future__ import annotations

from dataclasses import dataclass

from eraflow.numerai.submission import SubmissionRecord


@dataclass(frozen=True)
class PreparedDelivery:
    """What would be sent.

    Attributes:
        file: the file and its checks, all passed.
        signature: of the ensemble that made exactly this, as the file's maker names it.
    """

    file: SubmissionRecord
    signature: str
