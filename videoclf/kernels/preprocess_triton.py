"""The kernel of `kernels.preprocess`. Only modules that know that Triton is installed import this one.

A resize in both directions is two small matrix products, ``Wy X Wxᵀ``, with matrices of triangle weights that are
computed in registers from their formula: bytes are read, converted, multiplied and summed without going back to memory.
"""

import triton
import triton.language as tl

from videoclf.kernels.channel_arrangement_triton import store_channels


@triton.jit
def _triangle(pixel, centre, support, num_pixels):
    """Weight of an input pixel for an output centred there, in pixels; not divided by the sum of weights yet."""
    weight = tl.maximum(1.0 - tl.abs(pixel + 0.5 - centre) * (1.0 / support), 0.0)
    return tl.where(pixel < num_pixels, weight, 0.0).to(tl.float16)


@triton.jit
def _rgb(pixels, row, y, x, is_inside, IS_YUV: tl.constexpr):
    """Red, green and blue at rows ``y`` and columns ``x`` of a frame, in [0, 255], as `preprocess_reference.yuv_to_rgb`
    has them. float16 holds bytes exactly."""
    start = pixels + tl.load(row + 2)
    at = start + (y[:, None] * tl.load(row + 5).to(tl.int32) + x[None, :] * tl.load(row + 7).to(tl.int32))
    first = tl.load(at, mask=is_inside, other=0)
    if IS_YUV:
        # chroma has half the rows and columns
        at = (y >> 1)[:, None] * tl.load(row + 6).to(tl.int32) + (x >> 1)[None, :] * tl.load(row + 8).to(tl.int32)
        u = tl.load(pixels + tl.load(row + 3) + at, mask=is_inside, other=0).to(tl.float32) - 128.0
        v = tl.load(pixels + tl.load(row + 4) + at, mask=is_inside, other=0).to(tl.float32) - 128.0
        red_weight = tl.load(row + 18).to(tl.float32) * 1e-4
        blue_weight = tl.load(row + 19).to(tl.float32) * 1e-4
        is_full_range = tl.load(row + 20).to(tl.float32)
        luma_scale = is_full_range + (1.0 - is_full_range) * (255.0 / 219.0)
        chroma_scale = is_full_range + (1.0 - is_full_range) * (255.0 / 224.0)
        luma = (first.to(tl.float32) - 16.0 * (1.0 - is_full_range)) * luma_scale
        red = luma + 2.0 * (1.0 - red_weight) * chroma_scale * v
        blue = luma + 2.0 * (1.0 - blue_weight) * chroma_scale * u
        green = (luma - red_weight * red - blue_weight * blue) * (1.0 / (1.0 - red_weight - blue_weight))
        red = tl.minimum(tl.maximum(red, 0.0), 255.0)
        green = tl.minimum(tl.maximum(green, 0.0), 255.0)
        blue = tl.minimum(tl.maximum(blue, 0.0), 255.0)
    else:
        red = first
        green = tl.load(at + 1, mask=is_inside, other=0)  # one address for three loads: a third of the registers
        blue = tl.load(at + 2, mask=is_inside, other=0)
    return red.to(tl.float16), green.to(tl.float16), blue.to(tl.float16)


@triton.jit
def _resized_tile(
    pixels,
    row,
    tile_top,
    tile_left,
    height,
    width,
    IS_YUV: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    CHUNK_ROWS: tl.constexpr,
    CHUNK_COLUMNS: tl.constexpr,
):
    """``TILE_ROWS×TILE_COLUMNS`` pixels of one frame's crop: red, green and blue, float32 in [0, 255]."""
    source_top = tl.load(row + 9).to(tl.int32)
    source_left = tl.load(row + 10).to(tl.int32)
    source_height = tl.load(row + 11).to(tl.int32)
    source_width = tl.load(row + 12).to(tl.int32)
    crop_top = tl.load(row + 15).to(tl.int32)
    crop_left = tl.load(row + 16).to(tl.int32)
    is_flipped = tl.load(row + 17).to(tl.int32)
    scale_y = source_height.to(tl.float32) / tl.load(row + 13).to(tl.float32)
    scale_x = source_width.to(tl.float32) / tl.load(row + 14).to(tl.float32)
    support_y = tl.maximum(scale_y, 1.0)
    support_x = tl.maximum(scale_x, 1.0)
    # beyond the crop's edge a tile repeats its last row and column: they are never stored, and their weights have a sum
    last_y = tl.minimum(tile_top + TILE_ROWS, height) - 1
    last_x = tl.minimum(tile_left + TILE_COLUMNS, width) - 1
    out_y = tl.minimum(tile_top + tl.arange(0, TILE_ROWS), last_y)
    out_x = tl.minimum(tile_left + tl.arange(0, TILE_COLUMNS), last_x)
    out_x = is_flipped * (width - 1) + (1 - 2 * is_flipped) * out_x
    first_x = is_flipped * (width - 1 - last_x) + (1 - is_flipped) * tile_left
    last_x = is_flipped * (width - 1 - tile_left) + (1 - is_flipped) * last_x
    centre_y = (out_y + crop_top + 0.5) * scale_y
    centre_x = (out_x + crop_left + 0.5) * scale_x
    begin_y = tl.maximum((tile_top + crop_top + 0.5) * scale_y - support_y - 0.5, 0.0).to(tl.int32)
    begin_x = tl.maximum((first_x + crop_left + 0.5) * scale_x - support_x - 0.5, 0.0).to(tl.int32)
    end_y = tl.minimum(((last_y + crop_top + 0.5) * scale_y + support_y + 0.5).to(tl.int32) + 1, source_height)
    end_x = tl.minimum(((last_x + crop_left + 0.5) * scale_x + support_x + 0.5).to(tl.int32) + 1, source_width)

    # all is transposed, columns first: then the warps share out the pixels, where they would each hold all of them
    red = tl.zeros((TILE_COLUMNS, TILE_ROWS), tl.float32)
    green = tl.zeros((TILE_COLUMNS, TILE_ROWS), tl.float32)
    blue = tl.zeros((TILE_COLUMNS, TILE_ROWS), tl.float32)
    sum_x = tl.zeros((TILE_COLUMNS,), tl.float32)
    for chunk_x in range(begin_x, end_x, CHUNK_COLUMNS):
        x = chunk_x + tl.arange(0, CHUNK_COLUMNS)
        narrow_red = tl.zeros((CHUNK_COLUMNS, TILE_ROWS), tl.float32)
        narrow_green = tl.zeros((CHUNK_COLUMNS, TILE_ROWS), tl.float32)
        narrow_blue = tl.zeros((CHUNK_COLUMNS, TILE_ROWS), tl.float32)
        sum_y = tl.zeros((TILE_ROWS,), tl.float32)
        for chunk_y in range(begin_y, end_y, CHUNK_ROWS):
            y = chunk_y + tl.arange(0, CHUNK_ROWS)
            weight_y = _triangle(y[:, None], centre_y[None, :], support_y, source_height)
            is_inside = (y < end_y)[:, None] & (x < end_x)[None, :]
            r, g, b = _rgb(pixels, row, source_top + y, source_left + x, is_inside, IS_YUV)
            narrow_red = tl.dot(tl.trans(r), weight_y, narrow_red)
            narrow_green = tl.dot(tl.trans(g), weight_y, narrow_green)
            narrow_blue = tl.dot(tl.trans(b), weight_y, narrow_blue)
            sum_y += tl.sum(weight_y.to(tl.float32), axis=0)
        # divided by the sum of the weights as rounded to float16: an even colour stays what it is
        norm_y = (1.0 / sum_y)[None, :]
        weight_x = _triangle(x[None, :], centre_x[:, None], support_x, source_width)
        red = tl.dot(weight_x, (narrow_red * norm_y).to(tl.float16), red)
        green = tl.dot(weight_x, (narrow_green * norm_y).to(tl.float16), green)
        blue = tl.dot(weight_x, (narrow_blue * norm_y).to(tl.float16), blue)
        sum_x += tl.sum(weight_x.to(tl.float32), axis=1)
    norm_x = (1.0 / sum_x)[:, None]
    return tl.trans(red * norm_x), tl.trans(green * norm_x), tl.trans(blue * norm_x)


@triton.jit(do_not_specialize=("num_frames",))  # clips have any length: one compilation serves them all
def preprocess_kernel(
    pixels,
    table,
    out,
    num_frames,
    height,
    width,
    frame_stride,
    channel_stride,
    row_stride,
    column_stride,
    scale0,
    scale1,
    scale2,
    shift0,
    shift1,
    shift2,
    RGB_AT: tl.constexpr,
    GRAY_TRIPLET_AT: tl.constexpr,
    DIFFERENCE_AT: tl.constexpr,
    IS_YUV: tl.constexpr,
    FRAMES_A_RUN: tl.constexpr,
    NUM_COLUMNS: tl.constexpr,
    TILE_ROWS: tl.constexpr,
    TILE_COLUMNS: tl.constexpr,
    CHUNK_ROWS: tl.constexpr,
    CHUNK_COLUMNS: tl.constexpr,
):
    """Compute one tile of the crop in a run of frames: program ``(tile, run)``.

    If a view shows motion, the tiles of the frames before and after stay in registers during the run; only the two
    ends of a run are resized by two programs.
    """
    tiles_across = tl.cdiv(width, TILE_COLUMNS)
    tile_top = tl.program_id(0) // tiles_across * TILE_ROWS
    tile_left = tl.program_id(0) % tiles_across * TILE_COLUMNS
    y = tile_top + tl.arange(0, TILE_ROWS)
    x = tile_left + tl.arange(0, TILE_COLUMNS)
    is_stored = (y < height)[:, None] & (x < width)[None, :]
    tile = out + y[:, None] * row_stride + x[None, :] * column_stride

    REACH: tl.constexpr = 0 if GRAY_TRIPLET_AT < 0 and DIFFERENCE_AT < 0 else 1
    first = tl.program_id(1) * FRAMES_A_RUN
    last = tl.minimum(first + FRAMES_A_RUN, num_frames) - 1
    red = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    green = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    blue = tl.zeros((TILE_ROWS, TILE_COLUMNS), tl.float32)
    red_before, green_before, blue_before = red, green, blue
    for newest in range(first - REACH, last + REACH + 1):
        at = tl.minimum(tl.maximum(newest, 0), num_frames - 1)
        r, g, b = _resized_tile(
            pixels, table + at * NUM_COLUMNS, tile_top, tile_left, height, width,
            IS_YUV, TILE_ROWS, TILE_COLUMNS, CHUNK_ROWS, CHUNK_COLUMNS,
        )  # fmt: skip
        if REACH == 0:
            red, green, blue = r, g, b
        shown = newest - REACH
        if shown >= first:
            row = table + shown * NUM_COLUMNS
            store_channels(
                tile + shown.to(tl.int64) * frame_stride, channel_stride, is_stored,
                shown > tl.load(row), shown < tl.load(row + 1),
                red_before, green_before, blue_before, red, green, blue, r, g, b,
                scale0, scale1, scale2, shift0, shift1, shift2, RGB_AT, GRAY_TRIPLET_AT, DIFFERENCE_AT,
            )  # fmt: skip
        if REACH == 1:
            red_before, green_before, blue_before = red, green, blue
            red, green, blue = r, g, b
