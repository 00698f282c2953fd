"""What is generated from the models: CRDs, editor schemas, the reference page."""
