"""Tree ensembles in one form, whatever library grew them."""
