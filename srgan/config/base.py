"""Base class of run configs, and types of their values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Scale = Literal[2, 3, 4, 8]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
"""Names of datasets, recipes and models: they become keys in the bucket."""


class Config(BaseModel):
    """Base of all run configs."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # Prefect's forms and the reference show them
    )
