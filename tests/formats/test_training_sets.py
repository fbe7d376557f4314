"""COCO, WebDataset and nnU-Net, each checked by its own tool."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.formats.coco_segmentation import counts_of, polygons_of
from napari_confseg.formats.export import ExportRequest, export

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools' own
def test_coco_exact_by_pycocotools(dataset: Dataset, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    export(dataset, ExportRequest(format="coco"), tmp_path / "out")
    frames = 0
    for part in ("train", "val", "test"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(tmp_path / "out" / "annotations" / f"confidence_{part}.json"))
        for image in coco.loadImgs(coco.getImgIds()):
            clip, number = image["clip"], image["frame"]
            i = dataset.manifest.record(clip).frames.index(number)
            planes = np.zeros((3, image["height"], image["width"]), np.uint8)
            for note in coco.loadAnns(coco.getAnnIds(image["id"])):
                mask = coco.annToMask(note) == 1
                assert note["area"] == mask.sum()
                assert note["iscrowd"] == (note["confidence"] == 255)
                planes[note["category_id"] - 1][mask] = note["confidence"]
            assert np.array_equal(planes, dataset.planes(clip, "anna")[i])
            reviewed = np.flatnonzero(dataset.status(clip, "anna")[i] == 2) + 1
            assert image["reviewed_category_ids"] == reviewed.tolist()
            frames += 1
    assert frames == 12


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("at", [30, 70])
def test_coco_as_its_readers_expect_it(dataset: Dataset, tmp_path: Path, at: int) -> None:
    from PIL import Image
    from pycocotools import mask as rle
    from pycocotools.coco import COCO

    facts = export(dataset, ExportRequest(format="coco", threshold=at), tmp_path / "out")
    assert facts["threshold"] == at
    crowds = 0
    for part in ("train", "val", "test"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(tmp_path / "out" / "annotations" / f"instances_{part}.json"))
        for image in coco.loadImgs(coco.getImgIds()):
            clip = image["clip"]
            i = dataset.manifest.record(clip).frames.index(image["frame"])
            picture = np.asarray(Image.open(tmp_path / "out" / "images" / image["file_name"]))
            assert np.array_equal(picture, dataset.frames(clip)[i])
            size = (image["height"], image["width"])
            marks, excluded = np.zeros((2, 3, *size), bool)
            for note in coco.loadAnns(coco.getAnnIds(image["id"])):
                mask = coco.annToMask(note) == 1
                (excluded if note["iscrowd"] else marks)[note["category_id"] - 1][mask] = True
                crowds += note["iscrowd"]
                assert note["area"] == mask.sum()
                assert np.allclose(note["bbox"], rle.toBbox(rle.encode(np.asfortranarray(mask))))
                if not note["iscrowd"]:  # as torchvision's reference draws it
                    drawn = rle.decode(rle.frPyObjects(note["segmentation"], *size))
                    assert np.array_equal(drawn.any(2), mask)
            planes = dataset.planes(clip, "anna")[i]
            assert np.array_equal(excluded, planes == 255)
            assert np.array_equal(marks, (planes >= at) & ~excluded)
    assert crowds == 1


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_outlines_cover_any_mask_to_the_pixel() -> None:
    from pycocotools import mask as rle

    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.5, 0.7, 0.98, 1):
        for size in ((1, 1), (1, 17), (23, 1), (31, 42)):
            mask = rng.random(size) < share
            mask[0, 0] = True
            polygons = polygons_of(mask)
            drawn = rle.decode(rle.merge(rle.frPyObjects(polygons, *size))) == 1
            assert np.array_equal(drawn, mask)
            crowd = rle.frPyObjects({"size": list(size), "counts": counts_of(mask)}, *size)
            assert np.array_equal(rle.decode(crowd) == 1, mask)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_webdataset_exact_and_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    import webdataset as wds

    export(dataset, ExportRequest(format="webdataset"), tmp_path / "out")
    export(dataset, ExportRequest(format="webdataset"), tmp_path / "again")
    seen = 0
    for tar in sorted((tmp_path / "out").glob("*.tar")):
        again = (tmp_path / "again" / tar.name).read_bytes()
        assert hashlib.sha256(again).digest() == hashlib.sha256(tar.read_bytes()).digest()
        samples = wds.WebDataset(str(tar), shardshuffle=False).decode("l8")
        for sample in samples:
            meta: dict[str, Any] = sample["meta.json"]
            i = dataset.manifest.record(meta["clip"]).frames.index(meta["frame"])
            assert np.array_equal(sample["planes.npy"], dataset.planes(meta["clip"], "anna")[i])
            assert np.array_equal(sample["image.png"], dataset.frames(meta["clip"])[i])
            seen += 1
    assert seen == 12


@pytest.mark.parametrize("band", [None, (30, 70)])
def test_nnunet_says_the_same_as_the_planes(
    dataset: Dataset, tmp_path: Path, band: tuple[int, int] | None
) -> None:
    from PIL import Image

    facts = export(
        dataset, ExportRequest(format="nnunet", threshold=40, band=band), tmp_path / "out"
    )
    at = 70 if band else 40
    root = tmp_path / "out" / f"Dataset801_toy_at{at}"
    info = json.loads((root / "dataset.json").read_text())
    cases = Counter(p.parent.name for p in root.rglob("*.png"))
    assert cases["imagesTr"] == cases["labelsTr"] == info["numTraining"]
    assert cases["imagesTr"] + cases["imagesTs"] == 11
    assert any("1 frames are left out" in n for n in facts["notes"])
    ignore = info["labels"]["ignore"]  # there is an excluded corner
    for path in [*root.glob("labelsTr/*.png"), *root.glob("labelsTs/*.png")]:
        clip, number = path.stem.rsplit("_", 1)
        i = dataset.manifest.record(clip).frames.index(int(number))
        planes = dataset.planes(clip, "anna")[i]
        coded = np.asarray(Image.open(path))
        doubt = (planes == 255).any(0)
        if band:
            doubt |= ((planes >= 30) & (planes < 70)).any(0)
        assert np.array_equal(coded == ignore, doubt)
        for c, name in enumerate(dataset.manifest.class_names()):
            said = np.isin(coded, info["labels"].get(name, []))
            assert np.array_equal(said[~doubt], (planes[c] >= at)[~doubt])
    splits = json.loads((tmp_path / "out" / "splits_final.json").read_text())
    assert len(splits) == 2
    for fold in splits:
        clips = [{n.rsplit("_", 1)[0] for n in fold[k]} for k in ("train", "val")]
        assert not clips[0] & clips[1]


def test_nnunet_integrity_check(dataset: Dataset, tmp_path: Path) -> None:
    """nnU-Net's own ``verify_dataset_integrity``; ``tests/nnunet-requirements.txt`` brings it."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, str(tmp_path))
    verify = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")
    for at, band in ((50, None), (70, (30, 70))):
        out = tmp_path / f"out{at}"
        export(dataset, ExportRequest(format="nnunet", threshold=at, band=band), out)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            verify.verify_dataset_integrity(str(out / f"Dataset801_toy_at{at}"), 1)
        assert "verify_dataset_integrity Done" in said.getvalue()
