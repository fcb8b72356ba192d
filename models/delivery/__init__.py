"""What leaves the house as one function: the parts of an ensemble, its source, and how they are put together."""
