"""What a training says while it runs."""

import logging

logger = logging.getLogger("training")


def say(step: str, **figures: object) -> None:
    """Log one step that ended, or is about to take seconds, with its figures.

    The figures are in the text (floats to four digits) and are fields of a structured log.
    """
    texts = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in figures.items()]
    logger.info(" ".join([step, *texts]), extra=figures)
