"""Engines of one revision: streams, readiness, the places in them, prompts in their tokens."""
