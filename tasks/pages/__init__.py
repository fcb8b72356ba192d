"""What people look at in the Prefect UI."""
