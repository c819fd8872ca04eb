"""Options are named as the user writes them: flags on the command line, keywords in Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

from videoclf.option_names import as_flags, option


@pytest.mark.parametrize(
    ("name", "values", "in_python", "as_flag"),
    [
        ("split", (), "split", "--split"),
        ("split", ("random:0",), "split='random:0'", "--split random:0"),
        ("group_regex", (r"g(\d)",), r"group_regex='g(\\d)'", r"--group-regex 'g(\d)'"),
        ("devices", (2,), "num_devices=2", "--devices 2"),
        ("overwrite", (), "overwrite=True", "--overwrite"),
        ("set", ("a.b=1", "c.d=x y"), "overrides=['a.b=1', 'c.d=x y']", "--set a.b=1 --set 'c.d=x y'"),
        ("unknown", ("Flight",), "unknown=['Flight']", "--unknown Flight"),
        ("decoder", ("pyav",), "ReadOptions(decoder='pyav')", "--decoder pyav"),
        ("decoder", (), "reading=ReadOptions(...)", "--decoder"),
    ],
)
def test_an_option_is_written_as_the_user_writes_it(
    name: str, values: tuple[object, ...], in_python: str, as_flag: str
) -> None:
    assert option(name, *values) == in_python
    with as_flags():
        assert option(name, *values) == as_flag
    assert option(name, *values) == in_python


def test_a_child_process_speaks_like_its_parent() -> None:
    program = "from videoclf.option_names import option; print(option('overwrite'))"
    with as_flags():
        said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "--overwrite\n"
