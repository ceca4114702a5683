"""Speed, memory and survival of the batch scorer, beside others."""
