"""Daybreak's serving room: the Triton model repository, the engine inside it, the gateway, local serving."""
