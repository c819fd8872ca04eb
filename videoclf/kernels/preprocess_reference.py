"""The reference of preprocessing, in torch's operations: `modeling.preprocess` uses it, and kernels are tested against
it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from videoclf.kernels.channel_arrangement_reference import arrange_channels
from videoclf.kernels.layout import FrameRow, Placement, frame_rows


def resize_and_crop(frames_T3HW: Tensor, placement: Placement, height: int, width: int) -> Tensor:
    """Resize (float, bilinear, antialiased), crop, and scale to [0, 1]; each frame separately.

    Output pixel i of n, of an input of m pixels, is ``Σ_j w_ij x_j / Σ_j w_ij`` in each direction, with
    ``w_ij = max(0, 1 - |j + ½ - (i + ½) m/n| / max(1, m/n))`` (Pillow's triangle filter, which torch follows).

    Args:
        frames_T3HW: RGB in [0, 255], uint8 or float32.
        placement: which part is resized, to which size, and where the crop begins.
        height: height of the crop, in pixels.
        width: width of the crop.

    Returns:
        ``T×3×height×width`` float32 RGB in [0, 1].
    """
    bottom, right = placement.source_top + placement.source_height, placement.source_left + placement.source_width
    planes = frames_T3HW[:, :, placement.source_top : bottom, placement.source_left : right].float()
    size = (placement.resized_height, placement.resized_width)
    planes = interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    top, left = placement.top, placement.left
    cropped = planes[:, :, top : top + height, left : left + width] / 255
    return cropped.reshape(-1, 3, height, width)  # tells an exporter the size, which it cannot reckon


def yuv_to_rgb(y_THW: Tensor, u_THW: Tensor, v_THW: Tensor, red: float, blue: float, *, is_full_range: bool) -> Tensor:
    """Convert luma and chroma to RGB by ITU-R BT.601's formula; BT.709 and BT.2020 have other weights::

        r = y + 2 (1 - red) v
        b = y + 2 (1 - blue) u
        g = (y - red r - blue b) / (1 - red - blue)

    Args:
        y_THW: uint8, like ``u_THW`` and ``v_THW``; chroma already has the luma's size.
        red: the share of red in luma.
        blue: the share of blue in luma.
        is_full_range: whether 0 to 255 are used, or 16 to 235 (chroma: 240).

    Returns:
        ``T×3×H×W`` float32, clamped to [0, 255], not rounded.
    """
    y = y_THW.float() if is_full_range else (y_THW.float() - 16) * (255 / 219)
    chroma_scale = 1.0 if is_full_range else 255 / 224
    u, v = ((plane.float() - 128) * chroma_scale for plane in (u_THW, v_THW))
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return torch.stack([r, g, b], dim=1).clamp(0, 255)


def preprocess_reference(
    pixels: Tensor,
    table_FK: Tensor,
    height: int,
    width: int,
    channels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """What the kernel of `kernels.preprocess` computes (see there): ``F×3V×height×width`` float32."""
    clips: dict[int, list[FrameRow]] = {}
    for row in frame_rows(table_FK):
        clips.setdefault(row.first_row, []).append(row)
    return torch.cat(
        [arrange_channels(_clip(pixels, rows, height, width), channels, mean, std) for rows in clips.values()]
    )


def _clip(pixels: Tensor, rows: Sequence[FrameRow], height: int, width: int) -> Tensor:
    """``T×3×height×width`` float32 RGB in [0, 1]. The frames of a clip differ in nothing but their offsets."""
    row = rows[0]
    frames = _packed(pixels, rows)
    if frames is None:
        frames = torch.stack([_rgb(pixels, row) for row in rows])
    placement = Placement(
        0, 0, *(row.source_height, row.source_width, row.resized_height, row.resized_width, row.top, row.left)
    )
    cropped = resize_and_crop(frames, placement, height, width)
    return cropped.flip(-1) if row.is_flipped else cropped


def _packed(pixels: Tensor, rows: Sequence[FrameRow]) -> Tensor | None:
    """The part of the frames that is resized, ``T×3×h×w`` uint8: a view, where pixels hold red, green and blue behind
    each other; None elsewhere. The layout is that of decoded frames, so that sums are in the same order, too."""
    row = rows[0]
    planes = (row.offset1 - row.offset0, row.offset2 - row.offset0, row.pixel_pitch0, row.pixel_pitch1)
    if row.red_weight > 0 or planes != (1, 2, 3, 3) or row.row_pitch0 != row.row_pitch1:
        return None
    frame_pitch = rows[-1].offset0 - row.offset0
    if len(rows) > 1:
        frame_pitch //= len(rows) - 1
    start = row.offset0 + row.source_top * row.row_pitch0 + row.source_left * 3
    shape = (len(rows), 3, row.source_height, row.source_width)
    return pixels.as_strided(shape, (frame_pitch, 1, row.row_pitch0, 3), start + pixels.storage_offset())


def _rgb(pixels: Tensor, row: FrameRow) -> Tensor:
    """The part of one frame that is resized: ``3×h×w`` uint8, or float32 where it was converted."""
    is_yuv = row.red_weight > 0
    offsets = (row.offset0, row.offset1, row.offset2)
    shifts = (0, int(is_yuv), int(is_yuv))  # chroma has half the rows and columns
    planes = []
    for offset, shift in zip(offsets, shifts, strict=True):
        row_pitch, pixel_pitch = (row.row_pitch1, row.pixel_pitch1) if shift else (row.row_pitch0, row.pixel_pitch0)
        y = torch.arange(row.source_top, row.source_top + row.source_height, device=pixels.device) >> shift
        x = torch.arange(row.source_left, row.source_left + row.source_width, device=pixels.device) >> shift
        planes.append(pixels[offset + y[:, None] * row_pitch + x * pixel_pitch])
    if not is_yuv:
        return torch.stack(planes)
    y, u, v = (plane[None] for plane in planes)
    return yuv_to_rgb(y, u, v, row.red_weight / 1e4, row.blue_weight / 1e4, is_full_range=bool(row.is_full_range))[0]
