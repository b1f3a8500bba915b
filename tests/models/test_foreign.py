"""Foreign checkpoints, made here with the same keys and shapes as the published ones."""

import pickle
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from srgan.config import GeneratorConfig, Scale
from srgan.errors import CheckpointError
from srgan.models import foreign
from srgan.models.foreign import import_file, read_import
from srgan.models.interchange import dump_generator, load_generator
from tests.support.networks import Bomb, random_generator

MSRRESNET = random_generator(GeneratorConfig(kind="msrresnet", num_blocks=2, num_channels=4))
RRDBNET = random_generator(GeneratorConfig(kind="rrdbnet", num_blocks=2, num_channels=4))
SRVGG = random_generator(GeneratorConfig(kind="srvgg", num_blocks=3, num_channels=4))


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rcb = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.rcb(x)
        return x + inner


class _Upsampling(nn.Module):
    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.upsample_block = nn.Sequential(
            nn.Conv2d(channels, channels * factor**2, 3, padding=1),
            nn.PixelShuffle(factor),
            nn.PReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.upsample_block(x)
        return result


class CommonSRResNet(nn.Module):
    """SRResNet under its common names; images in [0, 1]."""

    def __init__(self, factors: list[int], num_blocks: int = 2, channels: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        self.trunk = nn.Sequential(*(_Block(channels) for _ in range(num_blocks)))
        self.conv2 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.upsampling = nn.Sequential(*(_Upsampling(channels, factor) for factor in factors))
        self.conv3 = nn.Conv2d(channels, 3, 9, padding=4)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        start = self.conv1(x)
        result: Tensor = self.conv3(self.upsampling(start + self.conv2(self.trunk(start))))
        return result


COMMON = CommonSRResNet([2, 2])


def saved(value: object, **options: Any) -> bytes:
    target = BytesIO()
    torch.save(value, target, **options)
    return target.getvalue()


def assert_same_images(data: bytes, expected: nn.Module, *, unit_range: bool) -> None:
    lr = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        sr, wanted = read_import(data).generator(lr), expected(lr)
    torch.testing.assert_close(sr, 2 * wanted - 1 if unit_range else wanted)


@pytest.mark.parametrize(("factors", "scale"), [([2], 2), ([3], 3), ([2, 2], 4), ([2, 2, 2], 8)])
def test_srresnet_of_the_common_naming_makes_the_same_images(
    factors: list[int], scale: Scale
) -> None:
    theirs = CommonSRResNet(factors, num_blocks=3, channels=6)
    data = saved({"epoch": 7, "state_dict": theirs.state_dict()})
    assert read_import(data).generator.config == GeneratorConfig(
        kind="srresnet", scale=scale, num_blocks=3, num_channels=6
    )
    assert_same_images(data, theirs, unit_range=True)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_removed(prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in COMMON.state_dict().items()}
    assert_same_images(saved({"state_dict": state}), COMMON, unit_range=True)


def test_a_key_of_any_length_is_refused_and_not_a_crash() -> None:
    for key in ("module." * 5000 + "weight", "body." + "1" * 5000 + ".weight"):
        state = {"body.0.weight": torch.zeros(4, 3, 3, 3), key: torch.zeros(4, 3, 3, 3)}
        with pytest.raises(CheckpointError, match=r"this SRVGGNetCompact .* cannot be built"):
            read_import(saved(state))


@pytest.mark.parametrize("kind", ["meta", "sparse", "expanded"])
def test_a_file_of_tensors_that_are_not_dense_is_refused_with_its_path_and_key(
    tmp_path: Path, kind: str
) -> None:
    weight = SRVGG.state_dict()["body.0.weight"]
    made = {
        "meta": weight.to("meta"),
        "sparse": weight.to_sparse(),
        "expanded": torch.zeros(1, dtype=torch.float16).expand(weight.shape),
    }
    path = tmp_path / "net.pth"
    path.write_bytes(saved(SRVGG.state_dict() | {"body.0.weight": made[kind]}))
    with pytest.raises(CheckpointError, match=r"net\.pth: body\.0\.weight .* save plain tensors"):
        import_file(path)


def test_averaged_weights_are_preferred_to_the_last_ones() -> None:
    averaged = torch.optim.swa_utils.AveragedModel(COMMON)  # type: ignore[no-untyped-call]
    other = CommonSRResNet([2, 2])
    checkpoint = {"state_dict": other.state_dict(), "ema_state_dict": averaged.state_dict()}
    assert "n_averaged" in averaged.state_dict()
    assert_same_images(saved(checkpoint), COMMON, unit_range=True)


def test_an_empty_container_is_skipped() -> None:
    checkpoint = {"params_ema": {}, "params": COMMON.state_dict()}
    assert_same_images(saved(checkpoint), COMMON, unit_range=True)


def test_counters_of_batches_may_be_missing() -> None:
    state = {k: v for k, v in COMMON.state_dict().items() if "num_batches_tracked" not in k}
    assert_same_images(saved({"state_dict": state}), COMMON, unit_range=True)


@pytest.mark.parametrize(
    "generator", [MSRRESNET, RRDBNET, SRVGG], ids=["MSRResNet", "RRDBNet", "SRVGG"]
)
@pytest.mark.parametrize("container", ["params", "params_ema", "params-ema", None])
def test_basicsrs_networks_are_read_from_where_basicsr_puts_them(
    generator: nn.Module, container: str | None
) -> None:
    state = generator.state_dict()
    assert_same_images(
        saved({container: state} if container else state), generator, unit_range=False
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(MSRRESNET.state_dict()), "MSRResNet of BasicSR, torch.save"),
        (save(RRDBNET.state_dict()), "RRDBNet of Real-ESRGAN, safetensors"),
        (saved(SRVGG.state_dict()), "SRVGGNetCompact of Real-ESRGAN, torch.save"),
        (saved({"state_dict": COMMON.state_dict()}), "SRResNet, torch.save"),
        (dump_generator(MSRRESNET), "srgan-generator-1"),
    ],
    ids=["MSRResNet", "RRDBNet", "SRVGG", "SRResNet", "ours"],
)
def test_the_format_of_a_file_is_named(data: bytes, name: str) -> None:
    assert read_import(data).format == name


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_scale_of_msrresnet_is_read_from_its_shapes(scale: Scale) -> None:
    config = GeneratorConfig(kind="msrresnet", scale=scale, num_blocks=1, num_channels=4)
    assert (
        read_import(saved({"params": random_generator(config).state_dict()})).generator.config
        == config
    )


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("num_blocks", [1, 12])
def test_scale_and_depth_of_srvgg_are_read_from_its_shapes(scale: Scale, num_blocks: int) -> None:
    config = GeneratorConfig(kind="srvgg", scale=scale, num_blocks=num_blocks, num_channels=4)
    assert read_import(saved(random_generator(config).state_dict())).generator.config == config


def test_the_keys_of_the_full_size_networks_are_the_published_ones() -> None:
    with torch.device("meta"):
        names = set(random_generator(GeneratorConfig(kind="msrresnet")).state_dict())
    ends = {"weight", "bias"}
    layers = {"conv_first", "upconv1", "upconv2", "conv_hr", "conv_last"}
    layers |= {f"body.{n}.conv{i}" for n in range(16) for i in (1, 2)}
    assert names == {f"{layer}.{end}" for layer in layers for end in ends}
    small = set(RRDBNET.state_dict())
    layers = {"conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"}
    dense = {f"rdb{k}.conv{i}" for k in (1, 2, 3) for i in (1, 2, 3, 4, 5)}
    layers |= {f"body.{n}.{part}" for n in range(2) for part in dense}
    assert small == {f"{layer}.{end}" for layer in layers for end in ends}


def test_rrdbnet_under_esrgans_own_names_makes_the_same_images() -> None:
    renamed = {
        name.replace("body.", "RRDB_trunk.", 1).replace("rdb", "RDB")
        if name.startswith("body.")
        else name.replace("conv_body", "trunk_conv")
        .replace("conv_up", "upconv")
        .replace("conv_hr", "HRconv"): tensor
        for name, tensor in RRDBNET.state_dict().items()
    }
    assert {"RRDB_trunk.1.RDB3.conv5.bias", "trunk_conv.weight", "upconv2.bias"} <= set(renamed)
    assert_same_images(saved(renamed), RRDBNET, unit_range=False)


def old_names(generator: nn.Module, num_blocks: int) -> dict[str, Tensor]:
    """The keys of ESRGAN's first release, whose layers are counted."""
    layers = {"conv_first": "0", "conv_body": f"1.sub.{num_blocks}", "conv_up1": "3"}
    layers |= {"conv_up2": "6", "conv_hr": "8", "conv_last": "10"}
    renamed = {}
    for name, tensor in generator.state_dict().items():
        layer, end = name.rsplit(".", 1)
        if layer in layers:
            renamed[f"model.{layers[layer]}.{end}"] = tensor
        else:
            _, block, dense, conv = layer.split(".")
            renamed[f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{end}"] = tensor
    return renamed


@pytest.mark.parametrize("num_blocks", [1, 2, 11])
def test_rrdbnet_under_esrgans_first_names_makes_the_same_images(num_blocks: int) -> None:
    config = GeneratorConfig(kind="rrdbnet", num_blocks=num_blocks, num_channels=4)
    network = random_generator(config)
    renamed = old_names(network, num_blocks)
    assert {"model.1.sub.0.RDB3.conv5.0.bias", f"model.1.sub.{num_blocks}.weight"} <= set(renamed)
    assert read_import(saved(renamed)).generator.config == config
    assert_same_images(saved(renamed), network, unit_range=False)


def test_esrgan_of_another_scale_is_refused_by_it() -> None:
    state = old_names(RRDBNET, 2)
    for end in ("weight", "bias"):
        for layer, before in ((5, 8), (7, 10)):
            state[f"model.{layer}.{end}"] = state.pop(f"model.{before}.{end}")
        del state[f"model.6.{end}"]
    with pytest.raises(CheckpointError, match=r"has scale 4, not 2; the extra spandrel reads"):
        read_import(saved(state))


def test_foreign_safetensors_are_read_too() -> None:
    data = save({name: tensor.contiguous() for name, tensor in COMMON.state_dict().items()})
    assert_same_images(data, COMMON, unit_range=True)


def test_files_in_our_format_are_loaded() -> None:
    assert_same_images(dump_generator(RRDBNET), RRDBNET, unit_range=False)


def test_the_old_format_of_torch_is_read() -> None:
    data = saved(MSRRESNET.state_dict(), _use_new_zipfile_serialization=False)
    assert_same_images(data, MSRRESNET, unit_range=False)


def test_half_precision_becomes_float32() -> None:
    halved = {name: tensor.half() for name, tensor in MSRRESNET.state_dict().items()}
    generator = read_import(saved({"params": halved})).generator
    assert {p.dtype for p in generator.parameters()} == {torch.float32}


def test_tensors_that_share_a_storage_can_be_saved_in_our_format() -> None:
    state = MSRRESNET.state_dict()
    flat = torch.cat([tensor.flatten() for tensor in state.values()])
    sizes = [tensor.numel() for tensor in state.values()]
    shared = {
        name: part.view_as(tensor)
        for (name, tensor), part in zip(state.items(), flat.split(sizes), strict=True)
    }
    imported = read_import(saved(shared)).generator
    assert dump_generator(imported) == dump_generator(MSRRESNET)
    assert load_generator(dump_generator(imported)).config == MSRRESNET.config


def test_an_imported_generator_can_be_trained() -> None:
    imported = read_import(saved({"params": MSRRESNET.state_dict()})).generator
    assert all(p.requires_grad and p.is_leaf for p in imported.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv3.bias": None}, r"the weights do not make a srresnet ×4 .*: conv3.bias is missing"),
        ({"attention.weight": torch.zeros(2)}, "attention.weight is unknown"),
        (
            {"trunk.1.rcb.4.running_var": torch.zeros(9)},
            r"trunk.1.rcb.4.running_var is \(9,\) torch.float32, expected \(4,\)",
        ),
        ({"conv2.1.bias": torch.full((4,), torch.nan)}, "conv2.1.bias holds NaN"),
        ({"conv2.1.running_var": torch.full((4,), -1.0)}, "conv2.1.running_var holds negative"),
        ({"conv1.0.weight": torch.zeros(4)}, r"conv1.0.weight is \(4,\), expected a convolution's"),
        ({"conv1.0.weight": None}, "conv1.0.weight is missing"),
        ({"conv1.0.weight": "text"}, "conv1.0.weight holds str, not a tensor"),
        (
            {"upsampling.0.upsample_block.0.weight": torch.zeros(100, 4, 3, 3)},
            "this SRResNet cannot be built",
        ),
    ],
)
def test_keys_that_do_not_fit_are_named_as_in_the_file(
    changes: dict[str, Any], message: str
) -> None:
    state = {**COMMON.state_dict(), **changes}
    data = saved({"state_dict": {k: v for k, v in state.items() if v is not None}})
    with pytest.raises(CheckpointError, match=message):
        read_import(data)


def test_real_esrgan_x2_is_refused_by_its_scale() -> None:
    state = dict(RRDBNET.state_dict())
    state["conv_first.weight"] = torch.zeros(4, 12, 3, 3)
    with pytest.raises(CheckpointError, match=r"has scale 4, not 2; the extra spandrel reads"):
        read_import(saved({"params_ema": state}))


def test_unknown_keys_are_listed_however_many_are_missing() -> None:
    deep = random_generator(GeneratorConfig(kind="msrresnet", num_blocks=8, num_channels=4))
    state = {name.replace(".conv2.", ".convB."): t for name, t in deep.state_dict().items()}
    with pytest.raises(
        CheckpointError,
        match=r": body.0.convB.bias is unknown; .* and 6 more; body.0.conv2.bias is missing; ",
    ):
        read_import(saved({"params": state}))


def test_a_network_of_another_kind_is_refused_with_its_keys() -> None:
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3)).state_dict()
    with pytest.raises(
        CheckpointError, match=r"unknown keys: 0.bias, 0.weight, 1.bias, 1.weight; .*RRDBNet of"
    ):
        read_import(saved(state))


def test_the_extra_that_reads_more_networks_is_named_after_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As beside another build of torchvision: the package is there and does not start."""
    monkeypatch.setattr(foreign, "is_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(
        CheckpointError, match=r"^unknown keys: a; .*this network needs .*'\.\[spandrel\]'"
    ):
        read_import(saved({"a": torch.zeros(1)}))


@pytest.mark.parametrize(
    "value", [Bomb(), COMMON, {"state_dict": COMMON.state_dict(), "b": Bomb()}]
)
def test_a_file_that_would_run_code_is_refused_and_not_run(value: object) -> None:
    with pytest.raises(
        CheckpointError, match=r"would run .*, and files that run code are not loaded"
    ):
        read_import(saved(value))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a safetensors file nor a complete one of torch.save: it is empty"),
        (b"weights", "neither .*: it begins with b'weights'"),
        (saved(COMMON.state_dict())[:-100], "its end is missing or damaged; download it again"),
        (dump_generator(MSRRESNET)[:-1], "not a complete safetensors file"),
        (saved([torch.zeros(1)]), "expected a dictionary of tensors, got list"),
        (saved({"epoch": 3}), "epoch holds int, not a tensor; weights are expected"),
        (saved({}), "unknown keys: none"),
        (pickle.dumps({"a": 1}), "neither a safetensors file nor"),
    ],
    ids=["empty", "text", "cut", "ours cut", "a list", "no weights", "nothing", "plain pickle"],
)
def test_a_file_without_weights_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_import(data)
