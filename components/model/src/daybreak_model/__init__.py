"""What training, evaluation and serving share about a model: vocabulary, prompts, sampling, the Llama shape."""
