"""What runs in a pod of a PyTorchJob: torchrun, its environment, what it tells of its progress."""
