"""What happens, in order: the weekly and the daily flow, and the command `eraflow`."""
