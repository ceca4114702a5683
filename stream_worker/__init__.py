"""The stream lane: scores the events of an event hub."""
