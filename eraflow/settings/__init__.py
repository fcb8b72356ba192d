"""The settings of a run: one pydantic model, which is also the form in the Prefect UI. A file a section."""
