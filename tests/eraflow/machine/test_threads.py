import pytest

from eraflow.machine.threads import THREAD_VARIABLES, ThreadSettingError, check_threads
from flows.command.cli import main


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLARS_MAX_THREADS", "abc"),
        ("POLARS_MAX_THREADS", "0"),
        ("OMP_NUM_THREADS", "0"),
        ("OMP_NUM_THREADS", "4,"),
        ("OPENBLAS_NUM_THREADS", "-1"),
        ("MKL_NUM_THREADS", "2.5"),
        ("RAYON_NUM_THREADS", "1000000"),
        ("NUMEXPR_NUM_THREADS", "\N{SUPERSCRIPT TWO}"),
    ],
)
def test_what_is_no_number_of_threads_is_named_with_its_variable(name, value):
    with pytest.raises(ThreadSettingError, match=f"{name}=") as caught:
        check_threads({name: value})
    assert caught.value.exit_code == 2
    assert name in caught.value.remedy


@pytest.mark.parametrize("value", ["", " ", "1", " 8 ", "4096"])
def test_what_libraries_take_is_taken(value):
    check_threads(dict.fromkeys(THREAD_VARIABLES, value))
    check_threads({"OMP_NUM_THREADS": "4,2", "RAYON_NUM_THREADS": "0"})


def test_a_long_value_is_cut():
    with pytest.raises(ThreadSettingError) as caught:
        check_threads({"OMP_NUM_THREADS": "x" * 100_000})
    assert len(str(caught.value)) < 300


def test_the_command_says_it_before_anything_is_read(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("POLARS_MAX_THREADS", "0")
    (tmp_path / "mine.csv").write_text("id,prediction\n")
    assert main(["score", str(tmp_path / "mine.csv"), "--data", str(tmp_path), "--target", "target_ender_20"]) == 2
    assert "thread_setting: the environment has POLARS_MAX_THREADS='0'" in capsys.readouterr().err
