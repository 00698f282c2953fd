"""Engines of one revision: streams, readiness, the endpoint pool, prompts in their tokens."""
