"""Which files a run reads: found, planned, and those left out that an earlier run has scored."""

from batch_scorer.inputs.chosen import chosen_files

__all__ = ["chosen_files"]
