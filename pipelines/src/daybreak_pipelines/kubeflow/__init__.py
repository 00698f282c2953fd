"""The pipelines as Kubeflow takes them: components, definitions, images, compiled packages."""
