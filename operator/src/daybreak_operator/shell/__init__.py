"""The only place of the operator that does I/O; ``kube`` is the one file that imports a Kubernetes client."""
