"""The Triton model repository, the completion gateway and local serving."""
