"""What on this computer would stop a week, and what to do about it."""
