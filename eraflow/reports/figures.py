"""What all charts share: a figure without global state, its colours, and a small PNG.

Only matplotlib's object interface is used (no pyplot), so threads of one week do not draw into each other's figures.
The drawing itself is done under a lock, because matplotlib's font objects are shared.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

# Okabe and Ito's palette ("Color Universal Design", 2008) without its yellow, which is too faint on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
INK = "#1b1b1b"
GREY = "#6f6f6f"
FAINT = "#dcdcdc"
BLUE, VERMILION = "#0072B2", "#D55E00"

DPI = 90
WIDTH, HEIGHT = 9.0, 4.4  # inches: 810 x 396 pixels
COLOURS = 96  # of the PNG's palette; a chart needs few, and the picture lies in a database as text

_DRAWING = threading.Lock()


def new_figure(title: str, xlabel: str, ylabel: str) -> tuple[Any, Any]:
    """A figure and its only axes, on white so that it reads in a dark page too."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.add_subplot(facecolor="white")
    _dress(axes, title, xlabel, ylabel)
    return figure, axes


def new_figures(title: str, xlabel: str, ylabels: Sequence[str]) -> tuple[Any, list[Any]]:
    """A figure of panels one above the other, with one axis of x."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.75 * HEIGHT * len(ylabels)), dpi=DPI, facecolor="white", layout="constrained")
    panels = figure.subplots(len(ylabels), sharex=True, squeeze=False, subplot_kw={"facecolor": "white"})[:, 0].tolist()
    for place, (axes, ylabel) in enumerate(zip(panels, ylabels, strict=True)):
        _dress(axes, title if place == 0 else "", xlabel if place == len(panels) - 1 else "", ylabel)
    return figure, panels


def _dress(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10, parse_math=False)
    axes.set_xlabel(xlabel, fontsize=10, color=GREY, parse_math=False)
    axes.set_ylabel(ylabel, fontsize=10, color=GREY, parse_math=False)
    axes.tick_params(colors=GREY, labelsize=9, length=3)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def beside(axes: Any, handles: list[Any], labels: list[str]) -> None:
    """The legend, to the right of the axes where no curve can run under it."""
    legend = axes.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, labelcolor=INK,
        handlelength=1.6, borderaxespad=0.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def say_empty(axes: Any, text: str) -> None:
    """In place of curves, when there is nothing to draw."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=12, color=GREY)


def png_bytes(figure: Any) -> bytes:
    """The figure as a PNG with a colour palette."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    with _DRAWING:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        width, height = canvas.get_width_height()
        picture = Image.frombytes("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")
    out = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
