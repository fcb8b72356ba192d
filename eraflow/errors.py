"""The base of every error that Eraflow raises on purpose.

An error reads `code: what is wrong; what to do`. The code is stable and meant for machines (`schema_missing_feature`),
the rest is for people. Each room defines its own subclasses next to the code that raises them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class EraflowError(Exception):
    """Something that Eraflow recognises and names.

    Args:
        problem: what was found, with the figures or names that matter.
        remedy: what the reader can do about it.
    """

    code: ClassVar[str] = "eraflow_error"
    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.code}: {problem}; {remedy}")

    def __reduce__(self) -> tuple[type[EraflowError], tuple[str, str], dict[str, Any]]:
        """Pickle by the two texts, so that an error crosses a process boundary unchanged."""
        return type(self), (self.problem, self.remedy), dict(self.__dict__)


class SettingsError(EraflowError):
    """A setting is unknown, contradicts another one, or lies outside its range. Correct it and run again."""

    code = "settings"
    exit_code = 2
