"""The Kubeflow pipelines and the ``daybreak`` command line."""
