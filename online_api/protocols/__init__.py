"""What callers speak: bodies in, answers out; the lane does the rest."""
