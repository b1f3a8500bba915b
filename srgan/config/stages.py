"""The two training stages: schedule and losses."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from srgan.config.base import Config, Positive
from srgan.config.degradation import DegradationConfig
from srgan.config.generator import DiscriminatorConfig, GeneratorConfig
from srgan.config.networks import FEATURE_LAYERS, MIN_SIDE, FeatureNetwork
from srgan.readable import Bytes

_RUNNING = frozenset(
    {
        "checkpoint_every",
        "keep_every",
        "keep_last",
        "log_every",
        "max_restarts",
        "min_workers",
        "validate_every",
    }
)
"""Settings of how often to write, measure and retry; they do not affect the weights."""
_PAPERS_WEIGHT = 1e-3
_LARGEST_WEIGHT = 1.0


def deciding(config: Mapping[str, object]) -> dict[str, object]:
    """The settings in a stage's config (as JSON) that decide its weights, and so its name.

    The result of an adversarial stage is one of its validated checkpoints.
    """
    running = _RUNNING - {"validate_every"} if config.get("stage") == "adversarial" else _RUNNING
    return {name: value for name, value in config.items() if name not in running}


class LearningRate(Config):
    """Learning rate as a function of the step."""

    peak: float = Field(1e-4, gt=0)
    """Learning rate after the warm-up."""
    warmup_steps: int = Field(0, ge=0)
    """First steps, in which the rate rises from 0 to its peak; fewer than a network learns."""
    decay: Literal["none", "tenth_at_half", "cosine"] = "none"
    """``tenth_at_half`` is the paper's GAN schedule: 1e-4, then 1e-5 for the second half."""


class _StageConfig(Config):
    generator: GeneratorConfig
    """Network that is trained."""
    steps: Positive
    """Updates of the generator."""
    batch_size: Positive = 16
    """Patches per step over all workers together."""
    patch_size: Positive = 96
    """Side of the HR patches in pixels."""
    learning_rate: LearningRate = LearningRate()
    """Learning rate as a function of the step."""
    augment: bool = True
    """Random flips and quarter turns."""
    shuffle_colours: bool = False
    """Permute red, green and blue of each patch, all six orders equally often: more variety for
    few photos."""
    degradation: DegradationConfig = DegradationConfig()
    """How LR patches are made of HR patches."""
    pair_share: float = Field(0.0, ge=0, le=1)
    """Share of each batch that is pairs (`Recipe.pairs`), rounded to whole patches. Their LR images
    are photographs instead of made by `degradation`."""
    shuffle_buffer_bytes: Bytes | None = None
    """For a dataset larger than a node's cache: draw the patches of a step from shards of at most
    this size, which move on through the dataset (`data.buffer`). None: from all of it."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of an average of the generator's weights, which is evaluated and handed on instead of
    the weights. None: no average."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest global gradient norm; None leaves gradients as they are."""
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """``auto``: bf16 autocast where the device computes it natively, else fp32. ``fp16`` scales
    losses, so that small gradients do not vanish; for GPUs before bf16."""
    compile: bool = False
    """``torch.compile`` of the trained networks: a faster step after minutes of compiling at each
    start. Needs a C++ compiler on the nodes (on GPUs the requirements of Triton)."""
    seed: int = 0
    """Decides the first weights and all that is drawn."""
    checkpoint_every: Positive = 1000
    """Steps between two checkpoints."""
    validate_every: Positive = 1000
    """Steps between two validations on the held-out crops."""
    log_every: Positive = 50
    """Steps between two points of the curves in MLflow. Each checkpoint, each validation and the
    end of `discriminator_warmup` is one more."""
    max_restarts: int = Field(3, ge=0)
    """How often lost workers are replaced within one job."""
    min_workers: Positive | None = None
    """Elastic workers: when nodes are lost, go on with as few as this, and add workers when nodes
    come back. None waits until all workers fit again."""
    sync_batch_norm: bool = False
    """Batch norm over the whole batch instead of each worker's share of it; GPUs only."""
    keep_last: Positive = 3
    """How many of the newest checkpoints to keep, besides the best and the final one."""
    keep_every: Positive | None = None
    """Also keep every checkpoint whose step is a multiple of this."""
    optimizer: Literal["adam", "muon"] = "adam"
    """The generator's optimiser. ``adam``: the paper's. ``muon``: Muon for all convolutions but the
    first and the last, Adam for the rest."""

    @model_validator(mode="after")
    def _check_generator(self) -> Self:
        if self.generator.kind == "spandrel":
            raise ValueError("networks of the package spandrel are imported, not trained")
        return self

    @model_validator(mode="after")
    def _check_patch(self) -> Self:
        scale = self.generator.scale
        if self.patch_size % scale:
            raise ValueError(f"patch_size {self.patch_size} is not divisible by scale {scale}")
        return self

    @property
    def num_pairs(self) -> int:
        """Pairs in each batch, over all workers together."""
        return round(self.pair_share * self.batch_size)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.pair_share and not self.num_pairs:
            raise ValueError(
                f"pair_share {self.pair_share:g} of batch_size {self.batch_size} is less than half "
                "a pair; raise one of them, or set pair_share to 0"
            )
        return self

    @model_validator(mode="after")
    def _check_warmup(self) -> Self:
        warmup = self.learning_rate.warmup_steps
        if warmup >= self.steps:
            raise ValueError(
                f"learning_rate.warmup_steps {warmup} leaves none of {self.steps} steps"
            )
        return self


class MseContentConfig(Config):
    """Content is pixels: equation 4."""

    kind: Literal["mse"] = "mse"
    """Content is pixels."""


class FeatureContentConfig(Config):
    """Content is a layer of a perceptual network: equation 5."""

    kind: Literal["features"] = "features"
    """Content is features of a perceptual network."""
    network: FeatureNetwork
    """Perceptual network; its weights have to be mirrored (`srgan weights mirror`)."""
    layer: str
    """Layer of it, such as ``vgg54``, ``fire9`` or ``block5``: after its activation, if it has one
    (blocks of EfficientNet-Lite have none)."""
    feature_scale: float = Field(gt=0)
    """Factor on features that brings the loss to the size of the MSE (section 3.2)."""
    weights: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    """SHA-256 of the mirrored weights file, or its first digits; decides the stage's name."""
    pixel_weight: float = Field(0.0, ge=0)
    """Weight of the pixels' MSE next to the features' (0 in the paper). Deep features do not see a
    fine grid; pixels keep the generator from drawing one."""
    total_variation_weight: float = Field(0.0, ge=0)
    """Weight of the total variation of SR, a sum over each image: 2e-8 in the paper's
    SRResNet-VGG22, else 0."""

    @model_validator(mode="after")
    def _check_layer(self) -> Self:
        known = FEATURE_LAYERS[self.network]
        if self.layer not in known:
            raise ValueError(
                f"{self.network} has no layer {self.layer!r}; there are: {', '.join(known)}"
            )
        return self

    def check_patch(self, patch_size: int) -> None:
        """Raise `ValueError` if patches leave the network's deepest layers nothing to see."""
        if patch_size < MIN_SIDE:
            raise ValueError(
                f"patch_size {patch_size} is too small for features of {self.network}, which "
                f"need {MIN_SIDE} pixels"
            )


ContentLossConfig = Annotated[MseContentConfig | FeatureContentConfig, Field(discriminator="kind")]


class PretrainConfig(_StageConfig):
    """SRResNet stage: a content loss only (section 3.2)."""

    stage: Literal["pretrain"] = "pretrain"
    """The pretrain stage."""
    loss: Literal["mse", "l1"] | FeatureContentConfig = "mse"
    """Content loss: the MSE or mean absolute difference of pixels, or features."""

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        if isinstance(self.loss, FeatureContentConfig):
            self.loss.check_patch(self.patch_size)
        return self


class AdversarialConfig(_StageConfig):
    """SRGAN stage: content loss + weight × adversarial loss (equation 3)."""

    stage: Literal["adversarial"] = "adversarial"
    """The GAN stage."""
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """Network that tells generated images from photographs."""
    content: ContentLossConfig = MseContentConfig()
    """Content loss of the generator."""
    adversarial_weight: float | None = Field(None, ge=0)
    """Weight of the adversarial loss; with `adversarial_share` the largest that a step may use.
    None: the paper's 1e-3; with `adversarial_share` at most 1."""
    adversarial_share: float | None = Field(None, gt=0)
    """Choose the weight at each step so that the adversarial gradient is this share of the content
    gradient, by their norms at the images (Esser et al. 2021, equation 7, measures it at the last
    layer). Leave `adversarial_weight` out: the paper's 1e-3 holds the share at some hundredths.
    None: `adversarial_weight`, as in the paper."""
    grid_weight: float = Field(0.0, ge=0)
    """Weight of the pattern that repeats every `scale` pixels (`losses.grid_loss`), which content
    on features and a young discriminator both let grow. 0 in the paper."""
    discriminator_shift: bool = False
    """Roll the images of each step, real and generated alike, by up to 15 random pixels before the
    discriminator sees them (Zhao et al. 2020 translate images so). It halves the sides four times,
    so it treats the places in a square of 16 pixels differently, and the generator learns a pattern
    that follows them. False in the paper."""
    discriminator_warmup: int = Field(0, ge=0)
    """First steps in which the discriminator learns alone. The generator's learning rate follows
    its schedule from the step after them."""
    patience: Positive | None = None
    """Validations in a row without a lower perceptual distance that end the stage; None: none do.
    Counts only if a network is mirrored that taught neither the stage nor its start, and from the
    end of `discriminator_warmup`."""
    max_returns: int = Field(2, ge=0)
    """How often the stage may go back to its last good checkpoint, each time at half the learning
    rate, when an output breaks; at the next time it ends. A stage none of whose validations passed
    fails."""

    @property
    def largest_weight(self) -> float:
        """Weight of the adversarial loss; with `adversarial_share` the largest of a step."""
        if self.adversarial_weight is not None:
            return self.adversarial_weight
        return _PAPERS_WEIGHT if self.adversarial_share is None else _LARGEST_WEIGHT

    @model_validator(mode="after")
    def _check_discriminator_warmup(self) -> Self:
        if self.discriminator_warmup >= self.steps:
            raise ValueError(
                f"discriminator_warmup {self.discriminator_warmup} leaves the generator none of "
                f"{self.steps} steps"
            )
        own, warmup = self.steps - self.discriminator_warmup, self.learning_rate.warmup_steps
        if warmup >= own:
            raise ValueError(
                f"learning_rate.warmup_steps {warmup} leaves none of the generator's {own} steps: "
                f"in the first {self.discriminator_warmup} of {self.steps} steps "
                "(discriminator_warmup) it does not learn"
            )
        return self

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if isinstance(self.content, FeatureContentConfig):
            self.content.check_patch(self.patch_size)
        return self


StageConfig = PretrainConfig | AdversarialConfig
