"""Text that is not ours, in our messages."""

from eraflow.foreigntext import cut


def test_foreign_text_is_cut_and_stays_on_its_line():
    assert cut("a\nb\x1b[31m") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m"
    assert cut("x" * 500) == "x" * 199 + "…"
