"""Starting Spark: the session, executors on Kubernetes, the Java runtime."""
