"""What the model learns to predict; one file an objective."""
