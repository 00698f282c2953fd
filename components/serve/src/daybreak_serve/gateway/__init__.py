"""The gateway: OpenAI's completions in front, Triton's decoupled streams behind."""
