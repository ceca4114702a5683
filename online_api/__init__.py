"""The online lane: scores records over HTTP."""
