"""What to do: frozen run configs. Unknown keys and contradictions are refused at submit."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from srgan.perceptual import FEATURE_LAYERS, MIN_SIDE, FeatureNetwork

Positive = Annotated[int, Field(gt=0)]
Scale = Literal[2, 3, 4, 8]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
"""Names of datasets, recipes and models: they become keys in the bucket."""


class Config(BaseModel):
    """Base of all run configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Config):
    """How photos become HR crops."""

    scale: Scale = 4
    crop_size: Positive = 256
    """Side of the square HR crops in pixels. Photos smaller than that are rejected as tiny."""
    eval_share: float = Field(0.1, gt=0, lt=1)
    """Share of photos held out for evaluation, decided by a hash of their pixels."""
    shard_bytes: Positive = 64 * 2**20
    max_pixels: Positive = 200_000_000
    """Photos that declare more pixels are rejected before decoding (decompression bombs)."""
    shrunk: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Training photos are cut a second time after shrinking by each of these factors: more detail
    per pixel, and the marks of their compression gone. Too small a result is left out."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop_size % self.scale:
            raise ValueError(f"crop_size {self.crop_size} is not divisible by scale {self.scale}")
        return self


_SIZES = {
    "srresnet": (16, 64),
    "bicubic_resnet": (16, 64),
    "srcnn": (1, 64),
    "fsrcnn": (4, 56),
    "espcn": (1, 64),
    "msrresnet": (16, 64),
    "rrdbnet": (23, 64),
}
"""Published number of blocks (or mapping layers) and channels of each kind of generator."""
_ONE_SIZE = ("srcnn", "fsrcnn", "espcn")
_SCALES = {
    "srcnn": (2, 3, 4),
    "fsrcnn": (2, 3, 4),
    "espcn": (2, 3, 4),
    "msrresnet": (2, 3, 4),
    "rrdbnet": (4,),
}


class GeneratorConfig(Config):
    """Rebuilds a generator; stored with every checkpoint and model version.

    Left out, the numbers of blocks and channels are those that the kind was published with.
    """

    kind: Literal[
        "srresnet", "bicubic_resnet", "srcnn", "fsrcnn", "espcn", "msrresnet", "rrdbnet"
    ] = "srresnet"
    """``srresnet``: the paper's. ``bicubic_resnet``: no batch norm, a residual over bicubic.
    ``srcnn``, ``fsrcnn``, ``espcn``: on luma, of one size. ``msrresnet``: SRResNet without batch
    norm over bilinear. ``rrdbnet``: ESRGAN's and Real-ESRGAN's."""
    scale: Scale = 4
    num_blocks: Positive = 16
    num_channels: Positive = 64

    @model_validator(mode="before")
    @classmethod
    def _fill_in_size(cls, values: Any) -> Any:
        kind = values.get("kind") if isinstance(values, dict) else None
        if not isinstance(kind, str) or kind not in _SIZES:
            return values
        num_blocks, num_channels = _SIZES[kind]
        return {"num_blocks": num_blocks, "num_channels": num_channels, **values}

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        scales = _SCALES.get(self.kind, get_args(Scale))
        if self.scale not in scales:
            known = ", ".join(map(str, scales))
            raise ValueError(f"a {self.kind} has scale {known}, not {self.scale}")
        size = (self.num_blocks, self.num_channels)
        if self.kind in _ONE_SIZE and size != _SIZES[self.kind]:
            raise ValueError(
                f"a {self.kind} has one size, num_blocks {_SIZES[self.kind][0]} and num_channels "
                f"{_SIZES[self.kind][1]}, not {size[0]} and {size[1]}; leave them out"
            )
        if self.kind == "rrdbnet" and self.num_channels % 2:
            raise ValueError(
                f"a rrdbnet grows by half its channels: {self.num_channels} is not even"
            )
        return self


class DiscriminatorConfig(Config):
    """Section 2.1.2: eight convolutions, widths `num_channels` × (1, 1, 2, 2, 4, 4, 8, 8)."""

    num_channels: Positive = 64
    dense_size: Positive = 1024


class LearningRate(Config):
    """Learning rate as a function of the step."""

    peak: float = Field(1e-4, gt=0)
    warmup_steps: int = Field(0, ge=0)
    decay: Literal["none", "tenth_at_half", "cosine"] = "none"
    """``tenth_at_half`` is the paper's GAN schedule: 1e-4, then 1e-5 for the second half."""


class DegradationConfig(Config):
    """How LR images are made for training: bicubic, and what real photographs suffer besides.

    Every range is (lowest, highest), drawn anew for each patch; None leaves that step out.
    """

    blur_sigma: tuple[float, float] | None = None
    """Gaussian blur before subsampling (section 2), σ in HR pixels."""
    noise_sigma: tuple[float, float] | None = None
    """Gaussian noise on the LR image, σ in levels of 255, each channel for itself."""
    jpeg_quality: tuple[int, int] | None = None
    """JPEG compression of the LR image with its colours at half resolution, 1–100."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        limits = {"blur_sigma": (0, 8), "noise_sigma": (0, 100), "jpeg_quality": (1, 100)}
        for name, (least, most) in limits.items():
            drawn = getattr(self, name)
            if drawn is not None and not least <= drawn[0] <= drawn[1] <= most:
                raise ValueError(
                    f"{name} {drawn} is no range (lowest, highest) within {least}–{most}"
                )
        return self


class _StageConfig(Config):
    generator: GeneratorConfig
    steps: Positive
    batch_size: Positive = 16
    """Patches per step over all workers together."""
    patch_size: Positive = 96
    """Side of the HR patches in pixels."""
    learning_rate: LearningRate = LearningRate()
    augment: bool = True
    """Random flips and quarter turns."""
    degradation: DegradationConfig = DegradationConfig()
    ema_decay: float | None = Field(None, gt=0, lt=1)
    gradient_clip: float | None = Field(None, gt=0)
    """Largest global gradient norm; None leaves gradients as they are."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """``auto``: bf16 autocast where the device computes it natively, else fp32."""
    seed: int = 0
    checkpoint_every: Positive = 1000
    validate_every: Positive = 1000
    log_every: Positive = 50
    max_restarts: int = Field(3, ge=0)
    """How often lost workers are replaced within one job."""
    optimizer: Literal["adam", "muon"] = "adam"
    """Of the generator. ``adam``: the paper's. ``muon``: Muon for all convolutions but the first
    and the last, Adam for the rest."""

    @model_validator(mode="after")
    def _check_patch(self) -> Self:
        scale = self.generator.scale
        if self.patch_size % scale:
            raise ValueError(f"patch_size {self.patch_size} is not divisible by scale {scale}")
        return self


class MseContentConfig(Config):
    """Content is pixels: equation 4."""

    kind: Literal["mse"] = "mse"


class FeatureContentConfig(Config):
    """Content is a layer of a perceptual network: equation 5."""

    kind: Literal["features"] = "features"
    network: FeatureNetwork
    layer: str
    """After its activation: ``vgg22``, ``vgg54``, …; ``fire5``, …"""
    feature_scale: float = Field(gt=0)
    """Features are multiplied by it, so that the loss is of the size of the MSE (section 3.2)."""
    weights: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    """SHA-256 of the mirrored weights file, or how it begins: a stage is named by it."""

    @model_validator(mode="after")
    def _check_layer(self) -> Self:
        known = FEATURE_LAYERS[self.network]
        if self.layer not in known:
            raise ValueError(
                f"{self.network} has no layer {self.layer!r}; there are: {', '.join(known)}"
            )
        return self

    def check_patch(self, patch_size: int) -> None:
        """`ValueError` where patches leave the network's deepest layers nothing to see."""
        if patch_size < MIN_SIDE:
            raise ValueError(
                f"patch_size {patch_size} is too small for features of {self.network}, which "
                f"need {MIN_SIDE} pixels"
            )


ContentLossConfig = Annotated[MseContentConfig | FeatureContentConfig, Field(discriminator="kind")]


class PretrainConfig(_StageConfig):
    """SRResNet stage: a content loss alone (section 3.2)."""

    stage: Literal["pretrain"] = "pretrain"
    loss: Literal["mse", "l1"] | FeatureContentConfig = "mse"

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        if isinstance(self.loss, FeatureContentConfig):
            self.loss.check_patch(self.patch_size)
        return self


class AdversarialConfig(_StageConfig):
    """SRGAN stage: content loss + `adversarial_weight` × adversarial loss (equation 3)."""

    stage: Literal["adversarial"] = "adversarial"
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    content: ContentLossConfig = MseContentConfig()
    adversarial_weight: float = Field(1e-3, ge=0)

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if isinstance(self.content, FeatureContentConfig):
            self.content.check_patch(self.patch_size)
        return self


StageConfig = PretrainConfig | AdversarialConfig


class Recipe(Config):
    """A complete retraining: data and its stages."""

    name: Name
    data: DataConfig
    pretrain: PretrainConfig
    adversarial: AdversarialConfig | None = None
    """None: the pretrained generator is the result, as for the paper's SRResNet."""

    @model_validator(mode="after")
    def _check_stages_fit(self) -> Self:
        if self.adversarial and self.pretrain.generator != self.adversarial.generator:
            raise ValueError("pretrain and adversarial must name the same generator")
        if self.data.scale != self.pretrain.generator.scale:
            raise ValueError(
                f"data.scale {self.data.scale} and generator.scale "
                f"{self.pretrain.generator.scale} differ"
            )
        for stage in (self.pretrain, self.adversarial):
            if stage and stage.patch_size > self.data.crop_size:
                raise ValueError(
                    f"{stage.stage}.patch_size {stage.patch_size} exceeds "
                    f"data.crop_size {self.data.crop_size}"
                )
        return self


class UpscaleConfig(Config):
    """How a bulk run writes its images."""

    batch_bytes: Positive = 64 * 2**20
    """About how many source bytes go into a batch; one batch is one Ray job."""
    max_jobs: Positive = 2
    """Ray jobs submitted at once: as many as the cluster has CPUs (or GPUs) for them."""
    output_format: Literal["same", "png", "jpeg", "webp"] = "same"
    jpeg_quality: int = Field(92, ge=1, le=100)
    memory_bytes: Positive = 2 * 2**30
    """Of a batch job's process, without the up to 1 GiB of images that wait for their turn."""
    tile: Positive | None = None
    """Side of a tile in LR pixels, without its context; None takes what `memory_bytes` allow."""
    precision: Literal["fp32", "auto"] = "auto"
    """``auto`` computes in bf16 where the processor does so natively, within 50 dB of ``fp32``."""
    max_pixels: Positive = 100_000_000
    """Images that declare more LR pixels are recorded as failed before decoding."""
    failure_tolerance: float = Field(0.0, ge=0, le=1)
    """Share of failed images up to which the flow still ends as Completed."""
