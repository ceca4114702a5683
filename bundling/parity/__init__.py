"""Proof that a backend gives the registered model's scores, and the same bits in any batch."""
