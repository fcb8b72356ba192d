"""Live scores as markdown: the picture, one sentence a year of rounds, and the table."""

from __future__ import annotations

from collections.abc import Sequence

from eraflow.livescores.table import LiveLine
from eraflow.livescores.watch import RATE, LiveStanding
from eraflow.reports.livechart import LiveCourse, live_chart
from eraflow.reports.markdown import markdown_table, png_markdown

SHOWN = 30
HEAD = ["round", "day", "CORR", "MMC", "BMC", "payout", "percentile", "promised CORR (nine of ten eras)", "final"]


def live_text(slot: str, lines: Sequence[LiveLine], years: Sequence[LiveStanding]) -> str:
    """The page of a slot's live scores."""
    picture = png_markdown(picture_of(slot, years), f"live scores of {slot}")
    rows = [_row(line) for line in lines[:SHOWN]]
    return "\n\n".join([f"### Live scores of {slot}", picture, *map(year_in_words, years), markdown_table(HEAD, rows)])


def picture_of(slot: str, years: Sequence[LiveStanding]) -> bytes:
    """The curve with the band, a PNG."""
    courses = [LiveCourse(year.dates, year.total, year.expected, year.band, year.alarm) for year in years]
    return live_chart(courses, title=f"Live CORR of {slot}, and what was promised")


def year_in_words(year: LiveStanding) -> str:
    """Where a year of rounds stands."""
    told = (
        f"Rounds {year.rounds[0]} to {year.rounds[-1]}: {year.total[-1]:+.3f} in sum, {year.expected[-1]:+.3f} was "
        f"promised, between {year.expected[-1] - year.band[-1]:+.3f} and {year.expected[-1] + year.band[-1]:+.3f} in "
        f"nine of ten. "
    )
    if year.alarm is None:
        return told + f"No alarm; scores that are as promised raise one in about {RATE:.0%} of all years."
    return told + f"Lower than the promise allows since {year.dates[year.alarm]}."


def _row(line: LiveLine) -> list[str]:
    promised = "-"
    if line.promised_corr is not None:
        promised = f"{line.promised_corr:+.4f} ({line.promised_low:+.3f} to {line.promised_high:+.3f})"
    return [
        str(line.round_number),
        f"{line.day} of {line.horizon_days}",
        *("-" if value is None else f"{value:+.4f}" for value in (line.corr, line.mmc, line.bmc, line.payout)),
        "-" if line.percentile is None else f"{line.percentile:.0%}",
        promised,
        "yes" if line.resolved else "",
    ]
