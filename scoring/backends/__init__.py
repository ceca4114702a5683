"""Ways to compute the same scores."""
