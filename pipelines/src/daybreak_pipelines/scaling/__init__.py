"""``daybreak scale``: a law through the losses of finished runs, and what the next size would reach."""
