"""Charts are small pictures that show their data; tables survive any cell."""

import base64
import io
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from PIL import Image

from eraflow.reports.charts import cumulative_corr_chart, memory_chart, training_chart
from eraflow.reports.figures import DPI, HEIGHT, WIDTH
from eraflow.reports.markdown import markdown_table, png_markdown

ERAS = [f"{number:04d}" for number in range(301, 1001)]


def values(seed=0, count=700):
    return np.random.default_rng(seed).normal(0.01, 0.03, count)


def curves(seed=0, models=9):
    return {f"_model_$x{number}|": (ERAS, values(seed + number)) for number in range(models)}


def picture(png):
    found = Image.open(io.BytesIO(png))
    assert found.format == "PNG"
    return np.asarray(found.convert("RGB"), dtype=np.int16)


def has_colour(png, colour):
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((np.abs(picture(png) - wanted).max(axis=2) <= 6).any())


ALL = {
    "cumulative": lambda seed: cumulative_corr_chart(curves(seed), highlight="_model_$x0|", benchmark="_model_$x1|"),
    "memory": lambda seed: memory_chart(
        {f"attempt {n}": [(t, 100 + abs(v) * 9000) for t, v in enumerate(values(seed + n))] for n in range(3)},
        budget_mb=1000,
    ),
}


@cache
def drawn(name, seed):
    return ALL[name](seed)


@pytest.mark.parametrize("name", ALL)
def test_a_full_chart_is_a_small_white_picture_of_its_data(name):
    png = drawn(name, 0)
    assert len(png) <= 60_000
    pixels = picture(png)
    assert pixels.shape == (round(HEIGHT * DPI), round(WIDTH * DPI), 3)
    assert (pixels[[0, -1]] == 255).all()
    assert drawn(name, 1) != png


def test_every_chart_of_nothing_says_so():
    nothing = [
        cumulative_corr_chart({}),
        cumulative_corr_chart({"m": ([], [])}, highlight="m", benchmark="b"),
        memory_chart({"attempt 1": []}, budget_mb=100),
    ]
    assert all((picture(png) < 200).any() for png in nothing)


def test_one_era_and_missing_figures_can_be_drawn():
    assert picture(cumulative_corr_chart({"m": (["0007"], [0.1])}, highlight="m")).size
    gap = cumulative_corr_chart({"m": (ERAS[:3], [0.1, math.nan, 0.2])})
    assert gap == cumulative_corr_chart({"m": (ERAS[:3], [0.1, 0.0, 0.2])})


def test_the_budget_line_is_drawn_where_one_is_given():
    points = {"attempt 1": [(0.0, 100.0), (9.0, 200.0)]}
    assert has_colour(memory_chart(points, budget_mb=300), "#D55E00")
    assert not has_colour(memory_chart(points), "#D55E00")


def test_threads_draw_without_disturbing_each_other():
    alone = [drawn(name, 0) for name in ALL]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda name: ALL[name](0), ALL)) == alone


def test_pyplot_is_never_imported():
    code = (
        "import sys; from eraflow.reports.charts import cumulative_corr_chart; assert 'matplotlib' not in sys.modules;"
        "cumulative_corr_chart({'m': (['0001'], [0.1])}); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_in_markdown_holds_its_bytes():
    text = png_markdown(b"\x89PNG bytes", "CORR [of] the\nblend")
    assert text.startswith("![CORR (of) the blend](data:image/png;base64,")
    assert base64.b64decode(text.split("base64,")[1].rstrip(")")) == b"\x89PNG bytes"


def test_a_table_keeps_its_shape_whatever_the_cells_hold():
    table = markdown_table(["model", "CORR"], [["a|b\nc", 0.0123456], ["d\\", None], ["e", 3]])
    assert table.splitlines() == [
        "| model | CORR |",
        "| --- | ---: |",
        "| a\\|b<br>c | 0.01235 |",
        "| d\\\\ |  |",
        "| e | 3 |",
    ]
    assert markdown_table(["a"], []).splitlines() == ["| a |", "| --- |"]


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="1 cells under 2 headers"):
        markdown_table(["a", "b"], [["x"]])


def test_a_training_with_gaps_and_a_broken_end_is_drawn():
    points = [
        {"fit": fit, "step": step, "loss": 1 / step, "grad_norm": None if fit else 2.0, "rate": 0.1}
        for fit in (0, 1)
        for step in range(1, 50)
    ]
    whole = training_chart(points)
    broken = training_chart([*points, {"fit": 1, "step": 50, "loss": "nan", "grad_norm": "inf", "rate": 0.1}])
    assert whole != broken
    for png in (whole, broken, training_chart([]), training_chart([{"fit": 0, "step": 1, "loss": "nan"}])):
        assert png.startswith(b"\x89PNG")
        assert len(png) < 60_000
