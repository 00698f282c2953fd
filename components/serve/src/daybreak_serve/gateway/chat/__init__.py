"""Conversations as prompts: a model's own chat template, run apart, and its marks put in by their ids."""
