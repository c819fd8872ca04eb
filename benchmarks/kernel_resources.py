"""What the compiler reports for each kernel, for three generations of GPUs: registers, shared memory and spills.

    python benchmarks/kernel_resources.py [--all]

Needs no GPU. Prints a Markdown table; the exit code is 1 if a kernel spills registers to memory. ``--all`` compiles
every variant.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)  # before Triton is imported: interpreted functions do not compile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from videoclf.kernels import launch
from videoclf.kernels.channel_arrangement_reference import VIEWS
from videoclf.kernels.preprocess_triton import preprocess_kernel
from videoclf.kernels.temporal_shift_triton import temporal_shift_kernel

TARGETS = (80, 90, 100)
"""Compute capabilities: A100, H100 and H200, B200."""

POINTERS = {"pixels": "*u8", "table": "*i64", "before": "*i64", "after": "*i64"}
FLOATS = ("scale", "shift")

Variant = tuple[str, Any, dict[str, int], dict[str, Any], str]
"""Its name, the kernel, its constants, the compiler's options, the output's type."""


def main() -> int:
    """Compile, print, and say whether something spilled."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="compile every variant (some minutes)")
    every = parser.parse_args().all
    print("| kernel | output | target | registers | shared memory (bytes) | spilled (bytes) |")
    print("| --- | --- | --- | --- | --- | --- |")
    num_spilling = 0
    jobs = _jobs(every)
    with ProcessPoolExecutor() as pool:  # a core each; a process takes numbers, as it could not be sent kernels
        found = pool.map(_compile, itertools.repeat(every), range(len(jobs)))
        for ((name, *_, dtype), capability), (registers, shared_bytes, spilled_bytes) in zip(jobs, found, strict=True):
            num_spilling += spilled_bytes > 0
            print(
                f"| {name} | {dtype} | sm_{capability} | {registers} | {shared_bytes} | {spilled_bytes} |", flush=True
            )
    return int(num_spilling > 0)


def _jobs(every: bool) -> list[tuple[Variant, int]]:
    """What is compiled, and for which capability."""
    return list(itertools.product(_variants(every), TARGETS))


def _variants(every: bool) -> Iterator[Variant]:
    """Registers hardly depend on the output's type or on which views there are: a few variants stand for all."""
    dtypes = ("fp32", "fp16", "bf16") if every else ("fp16",)
    views = (
        [views for count in (1, 2, 3) for views in itertools.combinations(VIEWS, count)]
        if every
        else [VIEWS[:1], VIEWS]
    )
    for is_yuv, shown, dtype in itertools.product((False, True), views, dtypes):
        name = f"preprocess, {'YUV' if is_yuv else 'RGB'} to {' + '.join(shown)}"
        constants = launch.kernel_constants(shown, is_yuv=is_yuv)
        yield name, preprocess_kernel, constants, launch.COMPILE_OPTIONS, dtype
    for dtype in dtypes:
        yield "temporal shift", temporal_shift_kernel, {"BLOCK": launch.SHIFT_BLOCK}, launch.COMPILE_OPTIONS, dtype


def _compile(every: bool, number: int) -> tuple[int, int, int]:
    """Of that job: registers a thread, shared memory a program, and bytes of each thread's stack, which hold nothing
    but spills."""
    (_, kernel, constants, options, dtype), capability = _jobs(every)[number]
    pointers = POINTERS | {"maps": f"*{dtype}", "out": f"*{dtype}"}
    signature = {
        name: "constexpr" if name in constants else pointers.get(name, "fp32" if name.startswith(FLOATS) else "i32")
        for name in kernel.arg_names
    }
    compiled = triton.compile(
        ASTSource(kernel, signature, constants), target=GPUTarget("cuda", capability, 32), options=options
    )
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        cuobjdump = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        usage = subprocess.run([cuobjdump, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"(REG|STACK):(\d+)", usage))
    return int(found["REG"]), compiled.metadata.shared, int(found["STACK"])


if __name__ == "__main__":
    sys.exit(main())
