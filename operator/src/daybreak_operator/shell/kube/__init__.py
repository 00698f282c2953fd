"""Requests to the Kubernetes API; ``client`` is the one file that imports a Kubernetes client."""
