"""The objects that a TrainingRun owns: their shape. Nothing here decides whether they are wanted."""
