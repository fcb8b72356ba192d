"""The Prefect server of a run or of a home, and the environment it is started in."""
