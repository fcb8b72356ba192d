"""Neural networks and the training loop that they share."""
