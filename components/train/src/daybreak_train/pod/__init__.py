"""What runs in a training pod: torchrun, its environment, what it tells of its progress."""
