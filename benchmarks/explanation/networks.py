"""Drawings of the networks, with figures that are counted on the networks themselves."""

from itertools import pairwise

from torch import nn

from benchmarks.explanation.drawing import BAD, DATA, GENERATOR, JUDGE, LOSS, Drawing
from srgan.config import DiscriminatorConfig, GeneratorConfig
from srgan.models.discriminator import Discriminator
from srgan.models.features.torchvision import VGG19
from srgan.models.srresnet import SRResNet

_PATCH = 96
_CHANNELS = ("#9cc4ec", "#f7c48b", "#a9dcae", "#e3b4dc")


def parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(each.numel() for each in network.parameters())


def parts_of_srresnet() -> list[tuple[str, str, int]]:
    """Name, layers and parameters of each part of the paper's generator."""
    network = SRResNet(GeneratorConfig())
    stages = list(network.upsampling)
    return [
        ("entry", "9×9, PReLU", parameters(network.entry)),
        (
            "16 residual blocks",
            "3×3, batch norm, PReLU, 3×3, batch norm",
            parameters(network.blocks),
        ),
        ("bridge", "3×3, batch norm", parameters(network.bridge)),
        ("×2", "3×3 to 256, shuffle, PReLU", parameters(stages[0])),
        ("×2", "3×3 to 256, shuffle, PReLU", parameters(stages[1])),
        ("exit", "9×9 to 3", parameters(network.exit)),
    ]


def reach_of_srresnet() -> int:
    """LR pixels to each side of which a pixel of the result depends."""
    network = SRResNet(GeneratorConfig())
    return network.trunk_radius + network.head_radius


def parts_of_discriminator() -> list[tuple[str, int]]:
    """Convolutions and classifier of the paper's discriminator, with their parameters."""
    network = Discriminator(DiscriminatorConfig(), _PATCH)
    return [
        ("eight convolutions", parameters(network.features)),
        ("two dense layers", parameters(network.classifier)),
    ]


def srresnet() -> str:
    """SRResNet from left to right, and one residual block below."""
    drawing = Drawing(900, 330, "SRResNet: entry, 16 residual blocks, bridge, two shuffles, exit")
    texts = [
        ("entry", "9×9, 64", "PReLU"),
        ("16 blocks", "3×3, 64", "twice each"),
        ("bridge", "3×3, 64", "batch norm"),
        ("×2", "3×3, 256", "shuffle", "PReLU"),
        ("×2", "3×3, 256", "shuffle", "PReLU"),
        ("exit", "9×9, 3"),
    ]
    lefts = [90, 215, 340, 500, 625, 750]
    top, height, width = 70, 90, 95
    middle = top + height / 2
    drawing.words((40, middle - 12), "LR")
    drawing.words((40, middle + 12), "[0, 1]")
    drawing.arrow([(62, middle), (lefts[0], middle)])
    for left, lines, (_, _, count) in zip(lefts, texts, parts_of_srresnet(), strict=True):
        drawing.box(left, top, width, height, GENERATOR, *lines)
        drawing.words((left + width / 2, top + height + 16), f"{count:,}")
    for left, following in pairwise(lefts[:3]):
        drawing.arrow([(left + width, middle), (following, middle)])
    drawing.words((465, middle), "+", bold=True)
    drawing.arrow([(lefts[2] + width, middle), (456, middle)])
    drawing.arrow([(474, middle), (lefts[3], middle)])
    for left, following in pairwise(lefts[3:]):
        drawing.arrow([(left + width, middle), (following, middle)])
    drawing.arrow([(lefts[5] + width, middle), (872, middle)])
    drawing.words((884, middle), "SR")
    skip = lefts[0] + width + 12
    drawing.arrow([(skip, middle), (skip, 36), (465, 36), (465, middle - 10)])
    drawing.words((325, 24), "long skip: the input of the blocks")
    drawing.words((262, 198), "features at LR size", kind=GENERATOR)
    drawing.words((672, 198), "2×, then 4× LR size", kind=GENERATOR)
    drawing.words((40, top + height + 16), "parameters", anchor="middle")
    block = ["3×3, 64", "batch norm", "PReLU", "3×3, 64", "batch norm"]
    drawing.words((90, 245), "one block", bold=True)
    drawing.arrow([(130, 275), (165, 275)])
    left = 165
    for line in block:
        drawing.box(left, 255, 95, 40, GENERATOR, line)
        drawing.arrow([(left + 95, 275), (left + 118, 275)])
        left += 118
    drawing.words((left + 9, 275), "+", bold=True)
    drawing.arrow([(148, 275), (148, 315), (left + 9, 315), (left + 9, 285)])
    drawing.arrow([(left + 18, 275), (left + 60, 275)])
    return drawing.svg()


def shuffle() -> str:
    """Four channels of 2×2 positions become one channel of 4×4 pixels."""
    drawing = Drawing(760, 250, "Pixel shuffle: four channels become the pixels of a 2×2 square")
    side = 44
    for channel, colour in enumerate(_CHANNELS):
        left = 30 + channel * 108
        drawing.words((left + side, 46), f"channel {channel + 1}")
        for row in range(2):
            for column in range(2):
                text = f"{channel + 1}{'abcd'[row * 2 + column]}"
                drawing.square(left + column * side, 66 + row * side, side, colour, text)
    drawing.arrow([(470, 110), (530, 110)])
    drawing.words((500, 92), "shuffle")
    for row in range(4):
        for column in range(4):
            channel = (row % 2) * 2 + column % 2
            text = f"{channel + 1}{'abcd'[row // 2 * 2 + column // 2]}"
            drawing.square(550 + column * side, 30 + row * side, side, _CHANNELS[channel], text)
    drawing.words((230, 190), "at LR size, where the 3×3 convolution computes them")
    drawing.words((638, 222), "twice as wide and as high")
    return drawing.svg()


def vgg_reach() -> dict[str, tuple[int, int]]:
    """Side of what a value of each VGG19 layer sees, in pixels, and of its features for 96 pixels.

    A 3×3 convolution sees one step more on both sides, a 2×2 pooling one step more; a step doubles
    with each pooling.
    """
    found: dict[str, tuple[int, int]] = {}
    sees, step, side, block, convolution = 1, 1, _PATCH, 1, 0
    for module in VGG19(16).features:
        if isinstance(module, nn.Conv2d):
            sees, convolution = sees + 2 * step, convolution + 1
            found[f"vgg{block}{convolution}"] = (sees, side)
        elif isinstance(module, nn.MaxPool2d):
            sees, step, side = sees + step, step * 2, side // 2
            block, convolution = block + 1, 0
    return found


def vgg() -> str:
    """Layers of VGG19 as bars, those of the paper's losses marked."""
    reach = vgg_reach()
    drawing = Drawing(900, 300, "VGG19: sixteen convolutions, of which vgg22 and vgg54 are used")
    left, blocks = 30.0, dict[int, float]()
    for name, (_, side) in reach.items():
        height = 24 + 1.1 * side
        used = name in ("vgg22", "vgg54")
        blocks.setdefault(int(name[3]), left)
        drawing.box(left, 150 - height / 2, 36, height, LOSS if used else DATA, name[3:])
        left += 44
        if name in ("vgg12", "vgg22", "vgg34", "vgg44"):
            left += 26
    for number, start in blocks.items():
        side = next(side for name, (_, side) in reach.items() if name[3] == str(number))
        drawing.words((start, 232), f"{side}×{side}", anchor="start")
    drawing.words(
        (30, 254), "features of a 96×96 patch; a pooling halves the sides", anchor="start"
    )
    for name in ("vgg22", "vgg54"):
        position = 30 + 44 * list(reach).index(name) + 26 * (int(name[3]) - 1) + 18
        anchor = "end" if name == "vgg54" else "middle"
        shift = 18 if name == "vgg54" else 0
        drawing.words((position + shift, 40), name, bold=True, kind=LOSS, anchor=anchor)
        drawing.words(
            (position + shift, 58), f"sees {reach[name][0]} pixels a side", kind=LOSS, anchor=anchor
        )
    drawing.words((30, 280), "numbers: convolution j before pooling i, as ij", anchor="start")
    return drawing.svg()


def game() -> str:
    """A step of the adversarial stage: what is computed, and where gradients go."""
    drawing = Drawing(
        900, 380, "One step of the GAN stage: images, two updates, and their gradients"
    )
    drawing.box(20, 150, 80, 50, DATA, "LR")
    drawing.box(160, 140, 120, 70, GENERATOR, "generator", "G")
    drawing.box(340, 150, 90, 50, DATA, "SR")
    drawing.box(340, 40, 90, 50, DATA, "HR")
    drawing.box(520, 140, 130, 70, JUDGE, "discriminator", "D")
    drawing.box(720, 60, 160, 66, LOSS, "loss of D", "equation 2")
    drawing.box(720, 190, 160, 66, LOSS, "adversarial loss", "equation 6")
    drawing.box(520, 290, 130, 60, LOSS, "content loss", "equations 4, 5")
    drawing.arrow([(100, 175), (160, 175)])
    drawing.arrow([(280, 175), (340, 175)])
    drawing.arrow([(430, 175), (520, 175)])
    drawing.arrow([(430, 65), (560, 65), (560, 140)])
    drawing.arrow([(650, 155), (690, 155), (690, 93), (720, 93)])
    drawing.arrow([(650, 190), (690, 190), (690, 223), (720, 223)])
    drawing.arrow([(370, 200), (370, 335), (520, 335)])
    drawing.arrow([(340, 80), (310, 80), (310, 315), (520, 315)])
    drawing.words((800, 30), "1. updates D alone", bold=True, kind=JUDGE)
    drawing.arrow([(800, 60), (800, 46), (620, 46), (620, 140)], kind=JUDGE, dashed=True)
    drawing.words((800, 292), "2. updates G alone", bold=True, kind=GENERATOR)
    drawing.words((800, 310), "D is frozen", kind=GENERATOR)
    drawing.arrow(
        [(760, 256), (760, 268), (585, 268), (585, 222), (400, 222), (400, 202)],
        kind=GENERATOR,
        dashed=True,
    )
    drawing.arrow([(520, 300), (415, 300), (415, 202)], kind=GENERATOR, dashed=True)
    drawing.arrow([(345, 202), (345, 240), (220, 240), (220, 212)], kind=GENERATOR, dashed=True)
    drawing.words((185, 262), "both gradients meet at the", kind=GENERATOR)
    drawing.words((185, 280), "images and pass G once", kind=GENERATOR)
    drawing.words((185, 366), "solid: images and figures; dashed: gradients")
    return drawing.svg()


def gate() -> str:
    """The questions that the gate asks of a challenger, in their order."""
    drawing = Drawing(900, 500, "The gate: broken outputs, then pixels or judges, then opinions")
    drawing.box(320, 15, 260, 50, DATA, "challenger", "measured beside the champion")
    drawing.box(320, 90, 260, 50, JUDGE, "is an output broken?", "guards, on every crop")
    drawing.box(320, 165, 260, 44, JUDGE, "what did the two learn from?")
    lines = {
        20: ("pixels alone", "PSNR clearly above", "champion and bicubic"),
        320: ("more, and a judge taught neither", "one clear gain, no clear loss,", "PSNR bounded"),
        620: ("more, and no such judge", "first version: PSNR near bicubic;", "else not compared"),
    }
    for left, rule in lines.items():
        drawing.box(left, 245, 260, 72, JUDGE, *rule)
        drawing.arrow([(left + 130, 317), (left + 130, 334), (450, 334), (450, 352)])
    drawing.box(320, 352, 260, 44, JUDGE, "does this rule hold?")
    drawing.box(320, 432, 260, 50, JUDGE, "is a loss ruled out?", "opinions, if people rated both")
    drawing.box(690, 90, 180, 50, BAD, "refused")
    drawing.box(690, 349, 180, 50, BAD, "refused")
    drawing.box(690, 432, 180, 50, LOSS, "champion")
    drawing.box(30, 432, 180, 50, BAD, "refused")
    drawing.arrow([(450, 65), (450, 90)])
    drawing.arrow([(580, 115), (690, 115)])
    drawing.words((635, 103), "yes")
    drawing.arrow([(450, 140), (450, 165)])
    drawing.words((464, 152), "no", anchor="start")
    drawing.arrow([(320, 187), (150, 187), (150, 245)])
    drawing.arrow([(450, 209), (450, 245)])
    drawing.arrow([(580, 187), (750, 187), (750, 245)])
    drawing.arrow([(580, 374), (690, 374)])
    drawing.words((635, 362), "no")
    drawing.arrow([(450, 396), (450, 432)])
    drawing.words((464, 414), "yes", anchor="start")
    drawing.arrow([(580, 457), (690, 457)])
    drawing.words((635, 445), "yes")
    drawing.arrow([(320, 457), (210, 457)])
    drawing.words((265, 445), "no")
    return drawing.svg()
