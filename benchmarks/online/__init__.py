"""What is claimed of the online API, measured against servers of its kind in one run."""
