"""The model card: what a network has seen, what it takes and gives, and what it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_confseg.dataset.card import table
from napari_confseg.methods import LEVELS

if TYPE_CHECKING:
    from trainer.export.graph import ExportedModel

_USE: Final = """\
For research and for preparing labels that a person checks. It is no medical device, and not for
diagnosis. It knows nothing of scanners, probes, patients and findings that were not among what it
learnt from, and does not say when it sees such. Percents are confidences in the sense of the
readers it learnt from, as the method below says, and not probabilities of disease."""
_INPUT: Final = """\
Grey values, `uint8 (N, 1, H, W)` with (H, W) = ({height}, {width}), the canvas. Nothing is to be
scaled or normalised before: the graph does it. A frame of another size is scaled, both sides
alike, until it fills the canvas in one direction (averaged over the area of each new pixel where
it shrinks, interpolated linearly where it grows), rounded, and centred with a margin of 0."""
_OUTPUT: Final = """\
The model's contour output `float32 (N, C, H, W)`, 0 to 1, in the order of the classes; classes may
overlap. Where the method has two outputs, what was learnt is sigmoid((logit(output) - shift) /
slope), with `output_scaling` of `model.json`, and the probability is sigmoid(slope * logit(learnt)
+ shift) with its `probability_scaling`. In percent: the part under the picture of what was learnt
is scaled linearly to the frame and to the output, multiplied by 100, rounded. `{percent}` is all of
this with numpy and the runtime alone, as `confseg-train predict` does it: `percent(frames, network,
facts)`."""
_ARITHMETIC: Final = """\
The graph computes in single precision. Its output was compared with the network's own when it was
written: they differ by at most {difference:.0e}. Fit and `confseg-train predict`: {precision}."""


def card(model: ExportedModel, use: str, percent: str, difference: float) -> bytes:
    """Return the card in Markdown.

    Parameters
    ----------
    model : ExportedModel
        What is exported.
    use : str
        The commands or code that run this format.
    percent : str
        Where ``percent.py`` lies in the export.
    difference : float
        Largest difference from the network's own output.
    """
    config = model.config
    height, width = config.canvas
    parts = [
        f"# {model.name}",
        f"Confidence of {_listed(config.classes)} in frames of lung ultrasound: a U-Net.",
        "## Use, and what it is not",
        _USE,
        use,
        "## Input",
        _INPUT.format(height=height, width=width),
        "## Output",
        _OUTPUT.format(percent=percent),
        _ARITHMETIC.format(difference=difference, precision=config.precision),
        "## What it has seen",
        table(("", ""), _seen(model)),
        "## How good",
        *_scores(model),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _seen(model: ExportedModel) -> list[tuple[str, object]]:
    # Neither patients nor readers by name: the export leaves the place where they are known.
    config = model.config
    split = config.split
    clips = [
        ("clips learnt from", len(split.train)),
        ("clips validated on", len(split.validation)),
        ("clips kept for a test", len(split.test)),
        ("readers", len(config.raters)),
    ]
    return [
        ("learnt from", str(config.origin)),
        *([] if config.origin.kind == "phantoms" else clips),
        (
            "method",
            f"`{config.method}`: {config.method.about.purpose.format(**config.method.settings)}",
        ),
        ("percent", LEVELS[config.method.written_as]),
        ("network", f"channels {', '.join(map(str, config.channels))}; size `{config.size}`"),
        ("seed, steps", f"{config.seed}, {config.steps}; kept: step {model.step}"),
        ("checkpoint", f"SHA-256 `{model.sha256}`"),
        ("software", ", ".join(f"{k} {v}" for k, v in sorted(config.versions.items()))),
    ]


def _scores(model: ExportedModel) -> list[str]:
    if model.told:
        _, _, body = model.told.partition("\n\n")  # without its title
        return ["What its makers say of it:", body.strip()]
    if model.result is None or not model.result.scores:
        return ["The run has not ended, or left no scores."]
    rows = [
        (f"`{name}`", "not defined" if value is None else f"{value:.3f}")
        for name, value in model.result.scores.items()
        if name.startswith("val_dice")
    ]
    # What val_dice is and is not stands in docs/explanation/training.md.
    said = (
        "Soft Dice with the method's own target, on frames that also chose this checkpoint and\n"
        "so a little optimistic. It compares steps of one run, not models."
    )
    return [text for text in (said, model.config.split.warning) if text] + [
        table(("validation", "value"), rows)
    ]
