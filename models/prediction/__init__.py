"""A file in, predictions out, era by era."""
