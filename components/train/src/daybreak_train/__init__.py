"""Llama-style models trained with Composer, checkpointed safely, exported to safetensors."""
