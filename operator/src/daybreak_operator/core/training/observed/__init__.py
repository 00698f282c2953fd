"""What is known of a TrainingRun and its children, parsed for decisions."""
