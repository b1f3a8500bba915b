"""Network interpolation: one generator between two of the same architecture.

Wang et al. 2018 (ESRGAN), section 3.4: (1 − alpha) · A + alpha · B, tensor by tensor, where A was
trained on pixels and B is A after its GAN stage. Pictures change from A's to B's as alpha grows.
That holds where one was trained from the other; two networks that were trained apart have nothing
in common to blend.
"""

import copy
import hashlib

from torch import Tensor

from srgan.errors import ConfigError
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator
from srgan.refs import Blend, BlendSource


def blend(first: Generator, second: Generator, alpha: float) -> Generator:
    """Return (1 − `alpha`) · first + `alpha` · second on the CPU in eval mode.

    Weights and biases are interpolated, and so are the running statistics of batch norm: an
    approximation, because the statistics of blended layers are not the blend of their statistics.
    Each tensor keeps its dtype. `alpha` is in [0, 1]; 0 is `first` and 1 is `second`, to the bit.
    `ConfigError` names both generators if they are not of one architecture, scale and size.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is a share of the second generator, 0 to 1, got {alpha}")
    sources = [_source(generator) for generator in (first, second)]
    _check_alike(first, second)
    blended = copy.deepcopy(first)
    theirs = second.state_dict()
    tensors = {name: _mixed(mine, theirs[name], alpha) for name, mine in first.state_dict().items()}
    blended.load_state_dict(tensors)
    blended.origin = None
    blended.blend = Blend(alpha=alpha, first=sources[0], second=sources[1])
    return blended.cpu().eval()


def model_name(generator: Generator) -> str:
    """Address of a version, or name of a file without its folder, which tells nobody else a lot."""
    origin = generator.origin or "a generator in memory"
    return origin if origin.startswith("models:/") else origin.rpartition("/")[2]


def _source(generator: Generator) -> BlendSource:
    if generator.config is None:
        raise ConfigError(
            f"{type(generator).__name__} is an interpolation and has no weights to blend; name two "
            "networks"
        )
    digest = hashlib.sha256(dump_generator(generator)).hexdigest()
    return BlendSource(model=model_name(generator), weights=digest)


def _check_alike(first: Generator, second: Generator) -> None:
    # Configs of spandrel's networks say nothing about their size, so tensors are compared, too.
    layouts = [
        {name: (tensor.shape, tensor.dtype) for name, tensor in each.state_dict().items()}
        for each in (first, second)
    ]
    if first.config == second.config and layouts[0] == layouts[1]:
        return
    one, other = (_in_words(each) for each in (first, second))
    raise ConfigError(
        f"{one} and {other} cannot be blended: both must be of the same architecture, scale, size "
        "and number format, and one should have been trained from the other"
    )


def _in_words(generator: Generator) -> str:
    assert generator.config is not None
    dtype = str(next(generator.parameters()).dtype).removeprefix("torch.")
    kind, scale = generator.config.kind, generator.scale
    return f"{model_name(generator)} ({kind} ×{scale}, {generator.layout}, {dtype})"


def _mixed(mine: Tensor, theirs: Tensor, alpha: float) -> Tensor:
    # At the ends the arithmetic would turn −0 into 0.
    if alpha in (0, 1):
        return theirs if alpha else mine
    mixed = (1 - alpha) * mine.double() + alpha * theirs.double()
    # Counters of batch norm are whole numbers; inference does not read them.
    return (mixed if mine.is_floating_point() else mixed.round()).to(mine.dtype)
