"""Models as a user writes them, outside of the repository; README shows the first."""
