"""A TrainingRun's status: steps, conditions, progress and events, read and written."""
