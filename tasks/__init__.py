"""One Prefect task per stage, each around one plain function."""
