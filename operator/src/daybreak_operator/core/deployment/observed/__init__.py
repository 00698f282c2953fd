"""What is known of a ModelDeployment and its children, parsed for decisions."""
