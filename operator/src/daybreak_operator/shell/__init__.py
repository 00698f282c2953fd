"""The only place of the operator that does I/O; ``kube.client`` is the one file that imports a Kubernetes client."""
