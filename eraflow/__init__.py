"""Everything reusable: the tournament's rules, the machine, what a run leaves behind. Knows no Prefect and no model."""

__version__ = "0.1.0"
