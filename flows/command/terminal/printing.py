"""Words and tables on stdout: in the width and the colours of a terminal, 80 plain columns everywhere else."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 80
NAME_WIDTH = 26
WIDEST = 110
"""Lines that are longer than this are hard to read, whatever the terminal could hold."""
STYLES = {
    "better": "green",
    "worse": "red",
    "ok": "green",
    "BLOCKED": "bold red",
    "not judged": "dim",
}


def show(parts: Iterable[RenderableType]) -> None:
    """Print the parts on stdout, an empty line between them."""
    console = Console(emoji=False, highlight=False, markup=False)
    if not console.is_terminal:
        print(plain(parts), end="")
        return
    console.width = min(console.width, WIDEST)
    _print(console, parts)


def plain(parts: Iterable[RenderableType], width: int = PLAIN_WIDTH) -> str:
    """The same as plain text."""
    file = io.StringIO()
    _print(Console(file=file, width=width, emoji=False, highlight=False, markup=False, color_system=None), parts)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(part, crop=False)


def words(text: str, style: str = "") -> RenderableType:
    """A paragraph, broken between words alone: paths and commands stay in one piece, so that they can be copied."""
    return Paragraph(text, style)


def whole(text: str) -> RenderableType:
    """The same with an indent."""
    return Paragraph(text, indent=2)


class Paragraph:
    """Lines that are broken between words alone; a word that is longer than a line stands out."""

    def __init__(self, text: str, style: str = "", indent: int = 0) -> None:
        self.text, self.style, self.indent = text, style, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first, others = " " * self.indent, " " * 2 * self.indent
        for line in self.text.splitlines():
            broken = textwrap.wrap(
                line,
                options.max_width,
                initial_indent=first,
                subsequent_indent=others,
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield Text("\n".join(broken), self.style, no_wrap=True, overflow="ignore")


def judged(text: str) -> Text:
    """A word such as `better` in its colour."""
    return Text(text, STYLES.get(text, ""))


def listed(rows: Iterable[tuple[str, str]], first_width: int | None = None) -> RenderableType:
    """A word and a paragraph a row, the paragraphs below each other."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, width=first_width)
    table.add_column()
    for name, text in rows:
        table.add_row(judged(name), text)
    return Padding(table, (0, 0, 0, 2))


def places(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Names and paths or commands, each in one piece."""
    return Group(
        *(
            Text.assemble((f"{name:<14}", "dim"), text, no_wrap=True, overflow="ignore")  # the terminal may break it
            for name, text in rows
        )
    )


def command(text: str) -> RenderableType:
    """A line to be copied, in one piece."""
    return Text(f"  {text}", no_wrap=True, overflow="ignore")


class Figures:
    """Names and their figures: a table without lines, or where it does not fit, a paragraph a name."""

    def __init__(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self.head, self.rows = tuple(head), [tuple(row) for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table()
        needed = console.measure(table, options=options.update(max_width=10_000)).maximum
        if needed <= options.max_width:
            yield table
            return
        yield Text(self.head[0], "dim")
        for first, *others in self.rows:
            yield Text(first, "bold", overflow="ignore")
            told = [
                Text.assemble(f"{name} " if name else "", judged(value))
                for name, value in zip(self.head[1:], others, strict=True)
                if value
            ]
            yield Padding(Text(", ").join(told), (0, 0, 0, 2))

    def _table(self) -> Table:
        made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
        for number, name in enumerate(self.head):
            made.add_column(_breakable(name), justify="left" if number == 0 else "right", no_wrap=True)
        for first, *others in self.rows:
            made.add_row(_breakable(first), *(judged(other) for other in others))
        return made


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Figures:
    """A name a row, and its figures under their heads."""
    return Figures(head, rows)


def _breakable(name: str) -> Text:
    """A name of hyphens in lines that are short enough."""
    lines = [""]
    for part in name.replace("-", "-\0").split("\0"):
        if len(lines[-1]) + len(part) > NAME_WIDTH and lines[-1]:
            lines.append("  ")
        lines[-1] += part
    return Text("\n".join(lines))
