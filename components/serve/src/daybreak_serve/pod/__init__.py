"""What runs in the pods of a ModelDeployment: the fetching of a model, the engine, the gateway."""
