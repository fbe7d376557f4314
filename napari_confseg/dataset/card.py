"""The dataset card: what a reader must know, in Markdown and as Croissant metadata, from facts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_confseg.dataset.manifest import ClassCount
from napari_confseg.numerals import percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_confseg.dataset.manifest import ClipRecord, Manifest

CARD, CROISSANT = "README.md", "croissant.json"


_VALUES = """\
Ultrasound frames with planes of confidence: `uint8 (T, C, Y, X)`, 0 not marked, 1 to 100 the
percent to which the rater is sure that the class is there, 255 excluded. A frame and class that was
reviewed (status 2) and not marked means absent; one not reviewed means unknown, and nothing should
be learnt there."""
_CLASSES = """\
Frames reviewed, frames of these with the class, and its pixels by stated confidence. Reviewed
frames without the class are empty labels."""


_GUARANTEES = """\
Of patients alike those measured on: the panel's region lies within the model's outer contour and
holds its inner one, and its read-out of a clip lies in the interval around the model's."""


def write_card(manifest: Manifest, digest: str, folder: Path) -> None:
    """Write ``README.md`` and ``croissant.json``; `digest` is the SHA-256 of ``manifest.json``."""
    (folder / CARD).write_text(markdown(manifest), encoding="utf-8", newline="\n")
    text = json.dumps(croissant(manifest, digest), indent=2, ensure_ascii=False)
    (folder / CROISSANT).write_text(text + "\n", encoding="utf-8", newline="\n")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(v) for v in row) + " |" for row in lines)


def count(clips: Sequence[ClipRecord], rater: str, class_name: str) -> ClassCount:
    """Return how much there is of a class by a rater over some clips."""
    total = ClassCount()
    for clip in clips:
        if rater in clip.raters:
            total += clip.raters[rater].classes[class_name]
    return total


def markdown(manifest: Manifest) -> str:
    """Return the card."""
    m = manifest
    frames = sum(len(c.frames) for c in m.clips)
    patients = len({c.patient for c in m.clips})
    sizes = sorted({c.shape for c in m.clips})
    size = " to ".join(f"{y} x {x}" for y, x in dict.fromkeys([sizes[0], sizes[-1]]))
    known = sum(c.spacing is not None for c in m.clips)
    choices = [
        ("raters", ", ".join(f"`{r}` ({_kinds(m, r)})" for r in m.raters)),
        ("classes", ", ".join(f"`{c.name}`" for c in m.classes)),
        ("frames", f"`{m.request.frames}`"),
        ("size", f"{size} pixels"),
        ("spacing", f"known for {known} of {len(m.clips)} clips"),
        ("brought to", f"{m.request.spacing:g} mm" if m.request.spacing else "no common spacing"),
        ("seed", m.request.seed),
    ]
    fairness = (
        "By patient; no patient is in two parts. Worst difference between a part's share of clips "
        f"with a class and that of all clips: {m.split.worst_prevalence_deviation:.3f}; worst "
        f"difference from the requested size: {m.split.worst_size_deviation:.3f}."
    )
    title = (
        f"{frames} frames of {len(m.clips)} clips of {patients} patients, from cohort "
        f"`{m.cohort}`. Content `{m.content_sha256[:16]}`."
    )
    software = ", ".join(f"{k} {v}" for k, v in sorted(m.software.items()))
    parts = [
        f"# {m.request.name} v{m.version}",
        title,
        _VALUES,
        "## What went in",
        table(("choice", "value"), choices),
        "## Split",
        fairness,
        _split_table(m),
        "## Classes",
        _CLASSES,
        _class_table(m),
        *_guarantees(m),
        "## Leakage",
        _leakage(m),
        "## Software",
        software,
    ]
    return "\n\n".join(parts) + "\n"


def _kinds(m: Manifest, rater: str) -> str:
    return "/".join(sorted({c.raters[rater].kind for c in m.clips if rater in c.raters}))


def _split_table(m: Manifest) -> str:
    rows = []
    for name in m.split.names:
        clips = [c for c in m.clips if m.split.of_clip[c.clip] == name]
        shares = [m.split.prevalence[name][c.name] for c in m.classes]
        rows.append(
            [
                name,
                len({c.patient for c in clips}),
                len(clips),
                sum(len(c.frames) for c in clips),
                *map(percent, shares),
            ]
        )
    header = ["part", "patients", "clips", "frames", *(f"clips with {c.name}" for c in m.classes)]
    return table(header, rows)


def _class_table(m: Manifest) -> str:
    rows = []
    for rater in m.raters:
        for spec in m.classes:
            n = count(m.clips, rater, spec.name)
            low, middle, high = sum(n.pixels[:3]), sum(n.pixels[3:7]), sum(n.pixels[7:])
            rows.append(
                [
                    f"`{rater}`",
                    spec.name,
                    n.reviewed,
                    n.marked,
                    n.reviewed - n.marked,
                    low,
                    middle,
                    high,
                    n.excluded,
                ]
            )
    header = (
        "rater",
        "class",
        "reviewed",
        "with it",
        "empty",
        "px 1–30 %",
        "px 31–70 %",
        "px 71–100 %",
        "px excluded",
    )
    return table(header, rows)


def _guarantees(m: Manifest) -> list[str]:
    lines = [f"- `{r}` {g}: {g.terms}" for r in m.raters for g in m.guarantees(r)]
    return ["## Guarantees", _GUARANTEES, "\n".join(lines)] if lines else []


def _leakage(m: Manifest) -> str:
    if not m.leakage:
        return (
            "None found: no patient and no source video is in two parts, and no two frames of "
            "different parts look alike (perceptual hash, then correlation)."
        )
    lines = [f"- patient `{p}` is in two parts" for p in m.leakage.patients]
    lines += [f"- one video is in two parts as {', '.join(v)}" for v in m.leakage.videos]
    lines += [
        f"- frames `{s.a}` and `{s.b}` look alike (correlation {s.likeness:.2f})"
        for s in m.leakage.frames[:20]
    ]
    more = len(m.leakage.frames) - 20
    return "\n".join(lines + ([f"- and {more} more pairs of frames"] if more > 0 else []))


def croissant(manifest: Manifest, digest: str) -> dict[str, Any]:
    """Return Croissant 1.0 metadata (http://mlcommons.org/croissant/1.0).

    The manifest is the file whose hash stands here; it holds those of all others.
    """
    m = manifest
    fields = [
        ("clip", "sc:Text", "name of the clip"),
        ("patient", "sc:Text", "pseudonym of the patient"),
        ("part", "sc:Text", "part of the split"),
        ("frames", "sc:Integer", "number of frames"),
    ]
    rows = [
        {
            "clips/clip": c.clip,
            "clips/patient": c.patient,
            "clips/part": m.split.of_clip[c.clip],
            "clips/frames": len(c.frames),
        }
        for c in m.clips
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": m.request.name,
        "description": f"Ultrasound frames of cohort {m.cohort} with planes of confidence in "
        f"percent for {', '.join(c.label for c in m.classes)}.",
        "version": f"{m.version}.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "manifest",
                "name": "manifest",
                "description": "what went in, the split, and the SHA-256 of every file",
                "contentUrl": "manifest.json",
                "encodingFormat": "application/json",
                "sha256": digest,
            },
            {
                "@type": "cr:FileSet",
                "@id": "arrays",
                "name": "arrays",
                "description": "zarr v3 group: <clip>/frames and <clip>/raters/<rater>/planes",
                "encodingFormat": "application/octet-stream",
                "includes": "data.zarr/**",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "clips",
                "name": "clips",
                "description": "one row a clip",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"clips/{name}",
                        "name": name,
                        "description": text,
                        "dataType": kind,
                    }
                    for name, kind, text in fields
                ],
                "data": rows,
            }
        ],
    }


# The context that Croissant 1.0 prescribes word for word.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "equivalentProperty": "cr:equivalentProperty",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
