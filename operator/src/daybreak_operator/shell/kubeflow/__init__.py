"""Kubeflow Pipelines as a back end: submitting packages, following runs and their pods."""
