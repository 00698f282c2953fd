"""The objects that a ModelDeployment owns: their shape, and which of them are wanted now."""
