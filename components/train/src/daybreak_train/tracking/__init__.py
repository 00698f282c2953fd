"""Metrics on their way to MLflow and Weights & Biases: what is told, to whom, and what waits while they are away."""
