"""Runs that crashed: found, closed, told of, and put back on the schedule."""
