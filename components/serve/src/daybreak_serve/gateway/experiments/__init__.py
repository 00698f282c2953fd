"""Which revision answers whom, and what a candidate sees of the others' requests."""
