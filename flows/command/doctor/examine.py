"""A finding of `eraflow doctor`: what was looked at, how it stands, and the line that tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flows.command.terminal.outputs import say

FOUND_AT = 26
"""Column of what was found; what is left of a long line is written below it."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination: what was looked at, how it stands, what was found, and what to do about it."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""

    def line(self) -> str:
        """The text for the terminal; the remedy on a line of its own."""
        first = f"{self.state:<8} {self.name:<16} {self.found}"
        return f"{first}\n{'':<{FOUND_AT - 1}} -> {self.remedy}" if self.remedy else first


def judged(name: str, good: bool, found: str, remedy: str) -> Finding:
    """`ok`, or a warning with its remedy: what a week survives."""
    return Finding(name, "ok", found) if good else Finding(name, "warning", found, remedy)


def required(name: str, good: bool, found: str, remedy: str) -> Finding:
    """`ok`, or a failure with its remedy: what stops a week."""
    return Finding(name, "ok", found) if good else Finding(name, "failed", found, remedy)


def tell_findings(found: Iterable[Finding], *, as_json: bool) -> list[Finding]:
    """The findings; each is told as soon as it is known, unless a record was asked for."""
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            say(finding.line(), FOUND_AT)
    return findings
