"""The stages of a TrainingRun: when each begins, how it fails, what blocks it, and how the run ends."""
