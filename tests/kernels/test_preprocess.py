"""Preprocessing in one pass against the reference, and the reference against what defines it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.media import test_colours as standards
from videoclf.kernels.launch import launch_preprocess
from videoclf.kernels.layout import Clip, ClipLayout, Colours, Placement, frame_table
from videoclf.kernels.preprocess import Output, preprocess_clips, preprocess_op
from videoclf.kernels.preprocess_reference import preprocess_reference, yuv_to_rgb
from videoclf.media.frames import RgbFrames
from videoclf.modeling.preprocess import place, preprocess_window
from videoclf.recipe.preprocess import Preprocess

BOUND = 1 / 255
"""What weights and half-resized pixels lose as float16 is a tenth of it, of grey levels; colour conversion as much."""

BT709 = Colours("bt709")
ALL = ("gray_triplet", "rgb", "difference")


@dataclass(frozen=True)
class Case:
    """A launch: clips as (layout, resized height and width, whether mirrored)."""

    clips: tuple[tuple[ClipLayout, int, int, bool], ...]
    height: int = 18
    width: int = 34
    channels: tuple[str, ...] = ("rgb",)
    margin: int = 0
    """Rows and columns left out on each side of the frames."""

    def build(self) -> tuple[Tensor, list[Clip]]:
        """Random bytes, and the clips behind each other in them."""
        clips, num_bytes = [], 0
        for layout, resized_height, resized_width, is_flipped in self.clips:
            moved = layout.moved(num_bytes)
            top, left = (resized_height - self.height) // 2, (resized_width - self.width) // 2
            cut = self.margin, self.margin, layout.height - 2 * self.margin, layout.width - 2 * self.margin
            placement = Placement(*cut, resized_height, resized_width, top, left)
            clips.append(Clip(moved, placement, is_flipped))
            num_bytes = moved.num_bytes
        return torch.randint(0, 256, (num_bytes,), dtype=torch.uint8), clips


CASES = {
    "smaller, odd sizes": Case(((ClipLayout.rgb(1, 75, 141), 19, 35, False),)),
    "larger, cropped": Case(((ClipLayout.rgb(1, 11, 20), 25, 47, False),)),
    "one pixel, one row, one column": Case(
        tuple((ClipLayout.rgb(1, height, width), 18, 34, False) for height, width in ((1, 1), (1, 40), (40, 1)))
    ),
    "sizes mixed, one mirrored, rows padded": Case(
        ((ClipLayout.rgb(1, 23, 45, row_pitch=160), 20, 40, True), (ClipLayout.rgb(2, 18, 34), 18, 34, False))
    ),
    "motion over runs and clips": Case(
        ((ClipLayout.rgb(5, 9, 17), 9, 17, False), (ClipLayout.rgb(1, 5, 6), 9, 17, True)), 9, 17, ALL
    ),
    "I420, odd sizes, padded": Case(
        ((ClipLayout.i420(2, 31, 45, BT709, row_pitch=50, chroma_pitch=27), 20, 36, True),), channels=("difference",)
    ),
    "I420, its middle": Case(((ClipLayout.i420(1, 31, 45, BT709), 18, 34, False),), margin=3),
    "sixteen times smaller": Case(((ClipLayout.rgb(1, 290, 550), 18, 34, False),)),
    "NV12 as a decoder pads it, matrices and ranges mixed": Case(
        (
            (ClipLayout.nv12(1, 21, 35, Colours("bt601"), row_pitch=64, chroma_row=24), 18, 34, False),
            (ClipLayout.nv12(1, 40, 70, Colours("bt2020", is_full_range=True)), 20, 35, False),
        )
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_kernel_stays_within_a_grey_level_of_the_reference(case: Case, device: str) -> None:
    pixels, clips = case.build()
    table_FK = frame_table(clips, case.height, case.width, len(pixels))
    plain = case.channels, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    expected = preprocess_reference(pixels, table_FK, case.height, case.width, *plain)
    out = torch.full_like(expected, torch.nan, device=device)
    launch_preprocess(pixels.to(device), table_FK.to(device), out, *plain, is_yuv=clips[0].layout.colours is not None)
    assert (out.cpu() - expected).abs().max() <= BOUND  # NaN is not: everything was written


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("is_channels_last", [False, True])
def test_the_kernel_writes_every_type_and_layout(
    dtype: torch.dtype, tolerance: float, is_channels_last: bool, device: str
) -> None:
    """The tolerance is the bound over the smallest deviation, 0.25, or the type's rounding of values up to 4."""
    pixels, clips = CASES["larger, cropped"].build()
    table_FK = frame_table(clips, 18, 34, len(pixels))
    normal = ("rgb",), (0.5, 0.4, 0.3), (0.25, 0.5, 1.0)
    expected = preprocess_reference(pixels, table_FK, 18, 34, *normal)
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    out = torch.full_like(expected, torch.nan, dtype=dtype, device=device, memory_format=layout)
    launch_preprocess(pixels.to(device), table_FK.to(device), out, *normal, is_yuv=False)
    torch.testing.assert_close(out.cpu().float(), expected, atol=tolerance, rtol=0)


def test_an_even_colour_stays_what_it_is(device: str) -> None:
    layout = ClipLayout.rgb(1, 75, 141)
    clips = [Clip(layout, Placement(0, 0, 75, 141, 18, 34, 0, 0))]
    pixels = torch.full((layout.num_bytes,), 201, dtype=torch.uint8)
    out = torch.zeros(1, 3, 18, 34, device=device)
    table_FK = frame_table(clips, 18, 34, len(pixels)).to(device)
    launch_preprocess(pixels.to(device), table_FK, out, ("rgb",), (0.0,) * 3, (1.0,) * 3, is_yuv=False)
    assert (out.cpu() * 255 - 201).abs().max() < 1e-3


@pytest.mark.cuda
def test_on_a_gpu_the_op_runs_the_kernel() -> None:
    pixels, clips = CASES["motion over runs and clips"].build()
    output = Output(9, 17, ALL, is_channels_last=True)
    result = preprocess_clips(pixels.cuda(), clips, output)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert (result.cpu() - preprocess_clips(pixels, clips, output)).abs().max() <= BOUND


@pytest.mark.parametrize("channels", [("rgb",), ALL])
def test_on_a_cpu_it_is_the_one_preprocessing(channels: tuple[str, ...]) -> None:
    spec = Preprocess.model_validate({"height": 32, "width": 48, "crop_margin": 1.143, "channels": channels})
    sizes = (2, 50, 61), (3, 20, 400)
    frames = [torch.randint(0, 256, (*size, 3), dtype=torch.uint8) for size in sizes]
    windows = [preprocess_window(iter([RgbFrames(f.numpy(), np.arange(float(len(f))), "x")]), spec) for f in frames]
    clips, num_bytes = [], 0
    for num_frames, height, width in sizes:
        layout = ClipLayout.rgb(num_frames, height, width, offset=num_bytes)
        clips.append(Clip(layout, place(height, width, spec)))
        num_bytes = layout.num_bytes
    output = Output(32, 48, channels, spec.mean, spec.std)
    result = preprocess_clips(torch.cat([f.flatten() for f in frames]), clips, output)
    assert torch.equal(result, torch.cat(windows))


def test_padded_rows_and_a_clip_from_the_middle_are_read_in_place() -> None:
    """Packed RGB is a view; the same pixels as planes are picked one by one."""
    frames = torch.randint(0, 256, (3, 20, 30, 3), dtype=torch.uint8)
    padded = torch.zeros(3, 20, 100, dtype=torch.uint8)
    padded[:, :, :90] = frames.flatten(2)
    packed = ClipLayout.rgb(3, 20, 30, row_pitch=100, offset=7)
    planar = ClipLayout(3, 20, 30, 1800, (0, 600, 1200), (30, 30), (1, 1), None)
    placement = Placement(2, 3, 16, 24, 9, 13, 0, 1)
    before = torch.zeros(7, dtype=torch.uint8)
    found = preprocess_clips(torch.cat([before, padded.flatten()]), [Clip(packed, placement)], Output(9, 11))
    planes = frames.permute(0, 3, 1, 2).contiguous().flatten()
    expected = preprocess_clips(planes, [Clip(planar, placement)], Output(9, 11))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)  # layouts sum in another order


@pytest.mark.parametrize("matrix", [standards.BT601, standards.BT709, standards.BT2020], ids=str)
@pytest.mark.parametrize("colour_range", [standards.LIMITED, standards.FULL])
def test_colours_are_converted_by_the_standards_formulas(matrix: standards.Matrix, colour_range: int) -> None:
    picture = standards.COLOURS.repeat(2, axis=0).repeat(2, axis=1)
    y, u, v = (torch.from_numpy(plane)[None] for plane in standards.yuv_planes(picture, matrix, colour_range))
    u, v = (plane.repeat_interleave(2, 1).repeat_interleave(2, 2) for plane in (u, v))
    rgb = yuv_to_rgb(y, u, v, matrix.red, matrix.blue, is_full_range=colour_range == standards.FULL)
    assert (rgb[0].permute(1, 2, 0) - torch.from_numpy(picture)).abs().max() <= 2  # 8-bit luma and chroma were rounded


def test_the_op_can_be_compiled_and_exported() -> None:
    pixels, clips = CASES["larger, cropped"].build()
    table_FK = frame_table(clips, 18, 34, len(pixels))
    settings = (False, 18, 34, "rgb", [0.0] * 3, [1.0] * 3, torch.float16, True)
    torch.library.opcheck(preprocess_op, (pixels, table_FK, *settings), test_utils=("test_schema", "test_faketensor"))

    class Prepare(torch.nn.Module):
        def forward(self, pixels: Tensor, table_FK: Tensor) -> Tensor:
            result: Tensor = preprocess_op(pixels, table_FK, *settings) * 2
            return result

    expected = Prepare()(pixels, table_FK)
    compiled = torch.compile(Prepare(), backend="eager", fullgraph=True)(pixels, table_FK)
    exported = torch.export.export(Prepare(), (pixels, table_FK)).module()(pixels, table_FK)
    assert torch.equal(compiled, expected)
    assert torch.equal(exported, expected)


def test_what_is_no_buffer_of_bytes_is_refused() -> None:
    _, clips = CASES["larger, cropped"].build()
    with pytest.raises(ValueError, match="pixels: expected uint8 in one dimension"):
        preprocess_clips(torch.zeros(2, 3), clips, Output(18, 34))


@pytest.mark.parametrize(("wrong", "message"), [
    ({"channels": ("rgb", "rgb")}, "each once"),
    ({"channels": ("flow",)}, "expected some of rgb, gray_triplet, difference"),
    ({"dtype": torch.int8}, "expected one of torch.float32"),
])  # fmt: skip
def test_an_output_that_no_network_takes_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Output(18, 34, **wrong)  # type: ignore[arg-type]
