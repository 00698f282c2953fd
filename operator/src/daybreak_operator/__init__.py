"""The room of the Kubernetes operator. Nothing runs here yet; README.md says what does."""
