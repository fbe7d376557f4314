"""A disk that fills up during a build: said in words, and nothing is half there."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from napari_confseg.__main__ import main
from napari_confseg.dataset import BuildStopped, packing
from napari_confseg.dataset.build import build
from napari_confseg.dataset.frozen import Dataset, versions
from napari_confseg.dataset.shards import write_shard
from napari_confseg.store import Cohort, StoreError
from tests.dataset.test_build import REQUEST, digests, study  # noqa: F401 (study is a fixture)
from tests.small_disk import disk_of, enlarge, needs_mount

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.dataset.manifest import BuildRequest

LARGE = 20_000


@needs_mount
def test_a_build_says_it_and_goes_on_where_it_was(
    study: Cohort,  # noqa: F811
    tmp_path: Path,
) -> None:
    """However far it came: each disk is a little larger, until all of it fits."""
    whole = digests(build(study, REQUEST, tmp_path / "whole").folder)
    refused = 0
    for kib in range(80, LARGE, 80):
        with disk_of(tmp_path / "disk", kib) as disk:
            try:
                build(study, REQUEST, disk / "ds")
            except StoreError as error:
                refused += 1
                (problem,) = error.problems
                assert (problem.code, problem.path) == ("disk-full", str(disk / "ds"))
                assert "no space left" in problem.message
                assert "Free some space and build again" in problem.hint
                assert versions(disk / "ds") == []
                enlarge(disk, LARGE)
                assert digests(build(study, REQUEST, disk / "ds").folder) == whole
                assert os.listdir(disk / "ds") == ["v1"]
            else:
                break
    assert refused > 3


def test_what_is_finished_is_not_packed_again(
    study: Cohort,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[Path] = []

    def fills_up(file: Path, data: NDArray, per_chunk: int, per_shard: int) -> None:
        if len(written) == 23:  # seven shards a clip: in the fourth
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(file)
        write_shard(file, data, per_chunk, per_shard)

    monkeypatch.setattr(packing, "write_shard", fills_up)
    command = [
        "build",
        study.location,
        "--out",
        str(tmp_path / "ds"),
        "--name",
        "toy",
        "--split",
        "train=0.5",
        "val=0.25",
        "test=0.25",
    ]
    assert main(command) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "no space left on device" in said
    assert "(3 of 6 clips)" in said
    with pytest.raises(StoreError):
        Dataset.open(tmp_path / "ds")
    monkeypatch.undo()
    packed: list[str] = []

    def counted(cohort: Cohort, request: BuildRequest, name: str, place: Path) -> object:
        packed.append(name)
        return packing.pack_clip(cohort, request, name, place)

    # Its package gives the function of that name, not the module.
    monkeypatch.setattr(sys.modules["napari_confseg.dataset.build"], "pack_clip", counted)
    dataset = build(study, REQUEST, tmp_path / "ds")
    assert packed == ["c3", "c4", "c5"]
    assert dataset.verify() == []
    assert digests(dataset.folder) == digests(build(study, REQUEST, tmp_path / "whole").folder)


def test_a_record_never_outlives_what_it_tells_of(
    study: Cohort,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packed, marks changed, the disk full while packing anew, and the marks as they were again."""
    request = REQUEST.model_copy(update={"parts": {"train": 1.0}})
    with pytest.raises(BuildStopped):
        build(study, request, tmp_path / "ds", cancelled=lambda: True)
    anna = study.clip("c0").rater("anna")
    before = anna.read_plane(0, 0)
    anna.write_plane(0, 0, before // 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_shard", full)
        with pytest.raises(StoreError):
            build(study, request, tmp_path / "ds")
    anna.write_plane(0, 0, before)
    assert build(study, request, tmp_path / "ds").verify() == []
