"""A recorded step again: the losses of its samples, and the step itself from a kept checkpoint."""
