"""Choose and prepare how a bundle explains its scores."""
