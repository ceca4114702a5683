"""Who may call the online API: API keys, and bearer tokens of Entra ID."""
