"""What a ModelDeployment leads to."""
