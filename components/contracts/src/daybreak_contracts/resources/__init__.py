"""The two resources, as pydantic models: the single source of the CRDs, the schema and the reference page."""

from daybreak_contracts.resources.deployment import ModelDeployment, ModelDeploymentSpec
from daybreak_contracts.resources.run import TrainingRun, TrainingRunSpec

__all__ = ["ModelDeployment", "ModelDeploymentSpec", "TrainingRun", "TrainingRunSpec"]
