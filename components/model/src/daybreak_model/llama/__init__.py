"""The Llama architecture: named sizes, its description as ``config.json``, layers and weights."""
