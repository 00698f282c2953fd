"""The guard of a training: what counts as a spike, what follows from one, and what is remembered of it."""
