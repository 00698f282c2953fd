"""A ModelDeployment's status: conditions and events, read and written."""
