"""vLLM as an engine behind the same protocol: what it is told, what it answers, and its place in Triton."""
