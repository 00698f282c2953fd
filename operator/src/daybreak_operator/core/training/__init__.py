"""What a TrainingRun leads to."""
