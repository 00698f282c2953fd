"""Who asks, and how much one may ask."""
