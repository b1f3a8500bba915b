"""Code that MLflow runs when it loads a registered model ("models from code").

MLflow copies this file and the part of `srgan` that it needs into every model version, and runs
it wherever that version is loaded; so it may import only what `SERVED_CORE` in `packaging` names.
"""

from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # pandas ships no type information
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

from srgan.errors import ImageError
from srgan.images import decode_in_8_bits, encode
from srgan.inference.engine import Engine
from srgan.models.interchange import load_generator

COLUMN = "image"
TILE = 192
MAX_PIXELS = 100_000_000


class RefusedInputError(MlflowException, ValueError):
    """The input is not a photo.

    MLflow's server answers 400 with the message of an `MlflowException`; it hides any other message
    behind "an unexpected error".
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)


class ServedModel(PythonModel):
    """Turn a column ``image`` of encoded photos (bytes) into a column ``image`` of PNGs (bytes)."""

    def load_context(self, context: Any) -> None:
        """Load the weights. MLflow passes ``context`` by keyword, so the name must stay."""
        data = Path(context.artifacts["generator"]).read_bytes()
        self._engine = Engine(load_generator(data), tile=TILE)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Upscale every row; `RefusedInputError` names the row that holds no readable photo."""
        if list(model_input.columns) != [COLUMN]:
            raise RefusedInputError(
                f"expected one column {COLUMN!r} of encoded photos (bytes of a JPEG, PNG, …), "
                f"got columns {list(model_input.columns)}"
            )
        results = [self._upscale(row, data) for row, data in enumerate(model_input[COLUMN])]
        return pd.DataFrame({COLUMN: results})

    def _upscale(self, row: int, data: object) -> bytes:
        if not isinstance(data, bytes):
            raise RefusedInputError(
                f"row {row}: expected the bytes of an encoded photo, got {type(data).__name__}"
            )
        try:
            photo = decode_in_8_bits(data, max_pixels=MAX_PIXELS)
            return encode(self._engine.upscale_photo(photo), format="png", jpeg_quality=100)
        except ImageError as error:
            raise RefusedInputError(f"row {row}: {error}") from error


set_model(ServedModel())
