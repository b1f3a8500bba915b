"""Which generators there are: sizes and scales that a config may ask for."""

import pytest
from pydantic import ValidationError

from srgan.config import GeneratorConfig


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("srresnet", (16, 64)),
        ("bicubic_resnet", (16, 64)),
        ("bicubic_span", (6, 48)),
        ("srcnn", (1, 64)),
        ("fsrcnn", (4, 56)),
        ("espcn", (1, 64)),
        ("msrresnet", (16, 64)),
        ("rrdbnet", (23, 64)),
        ("srvgg", (16, 64)),
    ],
)
def test_a_kind_alone_means_its_published_size(kind: str, size: tuple[int, int]) -> None:
    config = GeneratorConfig.model_validate({"kind": kind})
    assert (config.num_blocks, config.num_channels) == size
    assert GeneratorConfig.model_validate_json(config.model_dump_json()) == config


def test_what_is_given_stands() -> None:
    config = GeneratorConfig(kind="rrdbnet", num_blocks=6)
    assert (config.num_blocks, config.num_channels) == (6, 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "rrdbnet", "scale": 2}, "a rrdbnet has scale 4, not 2"),
        ({"kind": "msrresnet", "scale": 8}, "a msrresnet has scale 2, 3, 4, not 8"),
        ({"kind": "espcn", "scale": 8}, "a espcn has scale 2, 3, 4, not 8"),
        ({"kind": "srcnn", "num_channels": 32}, "num_blocks 1 and num_channels 64, not 1 and 32"),
        ({"kind": "fsrcnn", "num_blocks": 5}, "num_blocks 4 and num_channels 56, not 5 and 56"),
        ({"kind": "rrdbnet", "num_channels": 7}, "grows by half its channels: 7 is not even"),
        ({"kind": "spandrel", "num_blocks": 6}, "a spandrel has one size"),
        ({"kind": "unheard-of"}, "Input should be 'srresnet'"),
        ({"kind": ["srresnet"]}, "Input should be 'srresnet'"),
    ],
)
def test_a_generator_that_does_not_exist_is_refused(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        GeneratorConfig.model_validate(values)
