"""The kernel of `kernels.temporal_shift`. Only modules that know that Triton is installed import this one."""

import triton
import triton.language as tl


@triton.jit
def temporal_shift_kernel(
    maps, before, after, out, num_moved, num_channels, num_values, channel_step,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Shift ``BLOCK`` values of one frame's maps, in the order of memory: program ``(block, frame)``.

    Args:
        num_values: number of values of one frame.
        channel_step: values from one channel to the next: ``H × W``, or 1 if channels are last.
    """
    frame = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channel = at // channel_step % num_channels
    from_before = channel < num_moved
    from_after = (channel < 2 * num_moved) & (channel >= num_moved)
    source = tl.where(from_before, tl.load(before + frame), tl.where(from_after, tl.load(after + frame), frame))
    is_there = ((source != frame) | (channel >= 2 * num_moved)) & (at < num_values)
    values = tl.load(maps + source * num_values + at, mask=is_there, other=0.0)
    tl.store(out + frame * num_values + at, values, mask=at < num_values)
