"""Augmentation: frame and planes move together, and no confidence is made up."""

from __future__ import annotations

import torch

from napari_confseg.store import EXCLUDED
from trainer.augment import augment


def blobs(n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Bright discs, and planes that are 80 on the disc and 30 around it."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    radius = torch.hypot(y - 20.0, x - 40.0)
    frame = (200 * (radius < 10)).to(torch.uint8).expand(n, 1, 48, 64)
    plane = torch.where(radius < 10, 80, 30).to(torch.uint8).expand(n, 1, 48, 64)
    return frame.contiguous(), plane.contiguous()


def test_same_generator_same_bits_and_another_seed_another_batch():
    frames, planes = blobs()
    a, b, c = (augment(frames, planes, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert not torch.equal(a[0], c[0])


def test_values_stay_among_those_stated_and_what_comes_from_outside_is_excluded():
    frames, planes = blobs(64)
    _, warped = augment(frames, planes, torch.Generator().manual_seed(3))
    assert set(warped.unique().tolist()) == {30, 80, EXCLUDED}
    _, gone = augment(frames, torch.full_like(planes, EXCLUDED), torch.Generator().manual_seed(3))
    assert (gone == EXCLUDED).all()


def test_frame_and_plane_are_warped_alike():
    frames, planes = blobs(64)
    images, warped = augment(frames, planes, torch.Generator().manual_seed(4))
    on_disc, around = images[warped == 80], images[warped == 30]
    # But for the outline, where the frame is interpolated and the plane is not.
    assert (on_disc > 0.3).float().mean() > 0.95
    assert (around < 0.2).float().mean() > 0.98


def test_a_disc_stays_a_disc_under_rotation_of_a_wide_frame():
    frames, planes = blobs(64)
    _, warped = augment(frames, planes, torch.Generator().manual_seed(5))
    for plane in warped[:, 0]:
        rows, columns = torch.where(plane == 80)
        inside = rows.min() > 0 and rows.max() < 47 and columns.min() > 0 and columns.max() < 63
        if inside:
            height, width = rows.max() - rows.min(), columns.max() - columns.min()
            assert abs(int(height - width)) <= 2


def test_half_are_mirrored_and_none_is_upside_down():
    frame = torch.zeros(200, 1, 32, 32, dtype=torch.uint8)
    frame[:, :, :16, :16] = 255  # bright top-left quarter
    images, _ = augment(frame, frame, torch.Generator().manual_seed(6))
    top, bottom = images[:, 0, :16].mean((1, 2)), images[:, 0, 16:].mean((1, 2))
    left = images[:, 0, :, :16].mean((1, 2)) > images[:, 0, :, 16:].mean((1, 2))
    assert (top > bottom).all()
    assert 70 < int(left.sum()) < 130
