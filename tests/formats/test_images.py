"""PNG, OME-TIFF, NIfTI, MONAI, NRRD, OME-Zarr: read back by the tools that define them."""

from __future__ import annotations

import csv
import json
from time import sleep
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError

from napari_confseg.formats.export import ExportRequest, ExportStopped, export
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset


def test_png_exact(dataset: Dataset, tmp_path: Path) -> None:
    from PIL import Image

    facts = export(dataset, ExportRequest(format="png"), tmp_path / "out")
    assert facts["threshold"] is None
    with (tmp_path / "out" / "frames.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 12
    seen = 0
    for record in dataset.manifest.clips:
        planes = dataset.planes(record.clip, "anna")
        reviewed = dataset.status(record.clip, "anna") == 2
        for i, number in enumerate(record.frames):
            name = f"{record.clip}/{number:06d}.png"
            image = np.asarray(Image.open(tmp_path / "out" / "images" / name))
            assert np.array_equal(image, dataset.frames(record.clip)[i])
            for c, class_name in enumerate(dataset.manifest.class_names()):
                path = tmp_path / "out" / "planes" / class_name / name
                assert path.exists() == reviewed[i, c]
                if path.exists():
                    assert np.array_equal(np.asarray(Image.open(path)), planes[i, c])
                    seen += 1
    assert seen == 35  # one (frame, class) was not reviewed


def test_tiff_exact_with_names(dataset: Dataset, tmp_path: Path) -> None:
    import tifffile

    export(dataset, ExportRequest(format="tiff"), tmp_path / "out")
    for clip in dataset.clips():
        with tifffile.TiffFile(tmp_path / "out" / "planes" / f"{clip}.ome.tif") as tif:
            assert tif.is_ome
            assert tif.series[0].axes == "TCYX"
            assert np.array_equal(tif.asarray(), dataset.planes(clip, "anna"))
            assert 'Name="b-line"' in (tif.ome_metadata or "")
            assert ('PhysicalSizeX="0.5"' in (tif.ome_metadata or "")) == (clip != "c3")
        frames = tifffile.imread(tmp_path / "out" / "images" / f"{clip}.ome.tif")
        assert np.array_equal(frames, dataset.frames(clip))


def test_nifti_exact_with_spacing(dataset: Dataset, tmp_path: Path) -> None:
    import nibabel as nib

    facts = export(dataset, ExportRequest(format="nifti"), tmp_path / "out")
    assert any("unknown for 1 clips" in n for n in facts["notes"])
    for clip in dataset.clips():
        planes = dataset.planes(clip, "anna")
        for c, name in enumerate(dataset.manifest.class_names()):
            image = nib.load(tmp_path / "out" / clip / f"{name}.nii.gz")
            assert image.get_data_dtype() == np.uint8
            data = np.asarray(image.dataobj)[:, :, 0]
            assert np.array_equal(data.transpose(2, 1, 0), planes[:, c])
        zooms = image.header.get_zooms()
        expected = (0.5, 0.25, 1, 0.05) if clip != "c3" else (1, 1, 1, 0.05)
        assert zooms == pytest.approx(expected)
        assert image.header.get_xyzt_units() == ("mm" if clip != "c3" else "unknown", "sec")


def test_nifti_and_nrrd_lie_alike_with_their_times(dataset: Dataset, tmp_path: Path) -> None:
    """By SimpleITK, which reads both: one place for each pixel, and the time of each frame."""
    import SimpleITK as sitk  # noqa: N813

    for name in ("nifti", "nrrd"):
        export(dataset, ExportRequest(format=name), tmp_path / name)
    for record in dataset.manifest.clips:
        cine = sitk.ReadImage(str(tmp_path / "nifti" / record.clip / "frames.nii.gz"))
        volume = sitk.ReadImage(str(tmp_path / "nrrd" / f"{record.clip}.nrrd"))
        assert cine.GetSize() == (64, 48, 1, 3)
        assert volume.GetSize() == (64, 48, 3)
        for x, y, t in ((0, 0, 0), (63, 0, 1), (5, 47, 2)):
            here = cine.TransformIndexToPhysicalPoint((x, y, 0, t))
            there = volume.TransformIndexToPhysicalPoint((x, y, t))
            assert here[:2] == pytest.approx(there[:2])
            assert here[3] == pytest.approx(record.times[t])
            assert cine.GetPixel(x, y, 0, t) == volume.GetPixel(x, y, t)
        spacing = (0.5, 0.25) if record.spacing else (1, 1)
        assert volume.GetSpacing()[:2] == pytest.approx(spacing)
        times = [float(t) for t in volume.GetMetaData("confseg_times").split(",")]
        assert times == pytest.approx(record.times)
        said = json.loads((tmp_path / "nifti" / "reviewed.json").read_text())
        assert said["clips"][record.clip]["seconds"] == pytest.approx(record.times)
        planes = sitk.ReadImage(str(tmp_path / "nifti" / record.clip / "pleura.nii.gz"))
        expected = dataset.planes(record.clip, "anna")[:, 0]
        assert np.array_equal(sitk.GetArrayFromImage(planes)[:, 0], expected)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:NvImgCodec")  # MONAI misses a GPU codec nobody asked for
def test_monai_loader(dataset: Dataset, tmp_path: Path) -> None:
    from monai.data import load_decathlon_datalist
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

    export(dataset, ExportRequest(format="monai"), tmp_path / "out")
    path = str(tmp_path / "out" / "datalist.json")
    load = Compose(
        [
            LoadImaged(["image", "label"], reader="NibabelReader"),
            EnsureChannelFirstd("label", channel_dim=-1),
        ]
    )
    seen = []
    for key in ("training", "validation", "testing"):
        for entry in load_decathlon_datalist(path, True, key, base_dir=str(tmp_path / "out")):
            loaded = load(entry)
            clip = entry["image"].split("/")[-1].removesuffix(".nii.gz")
            planes = dataset.planes(clip, "anna")
            assert np.array_equal(np.asarray(loaded["label"]), planes.transpose(1, 3, 2, 0))
            assert np.array_equal(
                np.asarray(loaded["image"]), dataset.frames(clip).transpose(2, 1, 0)
            )
            seen.append(clip)
    assert sorted(seen) == dataset.clips()


def test_nrrd_as_slicer_reads_it(dataset: Dataset, tmp_path: Path) -> None:
    import nrrd
    import slicerio

    facts = export(dataset, ExportRequest(format="nrrd", threshold=40), tmp_path / "out")
    assert facts["threshold"] == 40
    for clip in dataset.clips():
        planes = dataset.planes(clip, "anna")
        segmentation = slicerio.read_segmentation(str(tmp_path / "out" / f"{clip}_at40.seg.nrrd"))
        names = [s["name"] for s in segmentation["segments"]]
        masked = ["Pleural line (excluded)"] if clip == "c1" else []
        assert names == ["Pleural line", "A-line", "B-line", *masked]
        for c, segment in enumerate(segmentation["segments"][:3]):
            layer = segmentation["voxels"][segment["layer"]] == segment["labelValue"]
            marks = (planes[:, c] >= 40) & (planes[:, c] != 255)
            assert np.array_equal(layer.transpose(2, 1, 0), marks)
        data, header = nrrd.read(str(tmp_path / "out" / f"{clip}_confidence.nrrd"))
        assert np.array_equal(data.transpose(3, 0, 2, 1), planes)
        assert header["confseg_classes"] == "pleura,a-line,b-line"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ome_zarr_release_form(dataset: Dataset, tmp_path: Path) -> None:
    import zarr
    from ome_zarr_models.v05 import Image
    from yaozarrs import validate_zarr_store

    export(dataset, ExportRequest(format="ome-zarr"), tmp_path / "out")
    for clip in dataset.clips():
        path = tmp_path / "out" / f"{clip}.ome.zarr"
        image = Image.from_zarr(zarr.open_group(path, mode="r"))
        assert image.labels is not None
        validate_zarr_store(str(path))
        group = zarr.open_group(path, mode="r")
        assert np.array_equal(group["0"][:], dataset.frames(clip))
        for c, name in enumerate(dataset.manifest.class_names()):
            assert np.array_equal(group[f"labels/{name}/0"][:], dataset.planes(clip, "anna")[:, c])
        reviewed = group["labels/a-line"].attrs["confseg"]["reviewed"]
        assert reviewed == [1, 1, int(clip != "c1")]


def test_stopped_or_refused_exports_leave_nothing(dataset: Dataset, tmp_path: Path) -> None:
    calls: list[int] = []
    with pytest.raises(ExportStopped, match="2 of 4"):
        export(
            dataset,
            ExportRequest(format="png"),
            tmp_path / "out",
            progress=lambda *_: calls.append(1),
            cancelled=lambda: len(calls) == 2,
        )
    assert not (tmp_path / "out").exists()
    with pytest.raises(StoreError, match="which-rater"):
        export(dataset, ExportRequest(format="png", rater="bert"), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(StoreError, match="The folder is not empty"):
        export(dataset, ExportRequest(format="png"), tmp_path / "full")
    assert (tmp_path / "full" / "x").exists()
    for wrong in ({"threshold": 0}, {"band": (70, 30)}, {"format": "sketches"}):
        with pytest.raises(ValidationError):
            ExportRequest(**{"format": "png", **wrong})


def test_each_export_says_what_it_is(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, ExportRequest(format="nrrd", threshold=60), tmp_path / "out")
    text = (tmp_path / "out" / "EXPORT.md").read_text(encoding="utf-8")
    assert "cut at 60 %" in text
    assert dataset.manifest.content_sha256[:16] in text


@pytest.mark.parametrize("name", ["nrrd", "tiff", "nifti", "png"])
def test_the_same_dataset_gives_the_same_bytes(dataset: Dataset, tmp_path: Path, name: str) -> None:
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        export(dataset, ExportRequest(format=name), folder)
        if name == "nrrd":
            sleep(1.1)  # its clock counts seconds
    a, b = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders
    )
    assert [p for p in a if a[p] != b[p]] == []
    assert a.keys() == b.keys()
