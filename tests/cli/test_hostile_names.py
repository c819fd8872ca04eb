"""Class, group and file names of every kind go through every command: nothing obeys them, nothing is lost of them."""

from __future__ import annotations

import csv
import html.parser
import json
import re
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.conftest import write_clip
from videoclf.errors import printable
from videoclf.zoo import find_recipe

LABELS = (
    "[/close]",
    "[link=http://elsewhere.example]a[/link] [red]",
    "<script>alert('x')</script>&amp;",
    '=HYPERLINK("http://elsewhere.example")',
    "{{ 7 * 7 }}{% for x in y %}",
    "$x^{$ \\frac",
    ":smile: 🙂 e\u0323\u0301",
    "w" * 200,
)
GROUPS = ("[/g] <b>", "\x1b[31m\u202eg", "{{ g }}\ng")
FILES = ("[red]f \x1b[2J\u202e", "<img src=x> $y^{$ 'q\" :smile:", "{{ f }}\n\t" + "f" * 100)
UNOBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]")
SHORT = ("--set", "training.epochs=1", "--device", "cpu", "--allow-leaks")


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(path: Path, *names: str) -> None:
    page = Page(path)
    assert not page.tags & {"script", "a", "iframe"}
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not UNOBEYED.search(page.text)
    for name in names:
        assert printable(name) in page.text, name


def check_output(*texts: str) -> None:
    for text in texts:
        assert not UNOBEYED.search(text)
        assert "Traceback" not in text


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of a clip of each class in each group."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for row, label in enumerate(LABELS):
        for column, (group, name) in enumerate(zip(GROUPS, FILES, strict=True)):
            path = folder / f"{row}{name}.mp4"
            write_clip(folder / "clip.mp4", 4, first_number=4 * (row * len(GROUPS) + column)).rename(path)
            rows.append([path.name, label, group])
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder / "clips.csv"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "[close] $r$ {{ r }}.toml"
    sections = find_recipe("tiny").read_text().partition("\n")[2].replace('"tiny"', '"tiny"\nfrozen = true')
    path.write_text(f'description = "[/close] <script>"\n{sections}')
    return path


@pytest.fixture(scope="module")
def trained(data: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, its name as odd."""
    out = tmp_path_factory.mktemp("runs") / "[bold]{{ run }}$x$"
    code, printed, told = run("train", data, "--out", out, "--recipe", recipe, *SHORT)
    assert code == 0, told
    check_output(printed, told)
    for label in LABELS:
        assert f"│ {label} " in printed
    return out


def test_train(trained: Path) -> None:
    check_page(trained / "report.html", *LABELS)


def test_predict(data: Path, trained: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    code, out, err = run("predict", data.parent, "--model", trained, "--csv", table, "--top-k", 8, "--engine", "torch")
    assert code == 0
    check_output(out, err)
    assert all(label in out for label in LABELS)
    assert out.count("\n") == len(LABELS) * len(FILES)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} == {str(path) for path in data.parent.glob("*.mp4")}
    assert {row["label"] for row in rows} <= set(LABELS)


def test_evaluate(data: Path, trained: Path, tmp_path: Path) -> None:
    code, out, err = run("evaluate", trained, data, "--out", tmp_path / "eval", "--device", "cpu")
    assert code == 0, err
    check_output(out, err)
    assert all(f"│ {label} " in out for label in LABELS)
    check_page(tmp_path / "eval" / "report.html", *LABELS, FILES[0])
    assert set(json.loads((tmp_path / "eval" / "metrics.json").read_text())["per_class"]) == set(LABELS)


def test_crossval(data: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "[cv]"
    code, printed, told = run("crossval", data, "--out", out, "--recipe", recipe, *SHORT)
    assert code == 0, told
    check_output(printed, told)
    assert f"fold {printable(GROUPS[1])} " in told
    check_page(out / "report.html", *LABELS)


def test_check(data: Path, tmp_path: Path) -> None:
    code, out, err = run("check", data, "--split", "random:0", "--out", tmp_path, "--no-near-duplicates")
    check_output(out, err)
    assert code == 1  # at random, groups are parted
    assert all(f"│ {label} " in out for label in LABELS)
    check_page(tmp_path / "check.html", *LABELS, *GROUPS)


def test_extract(data: Path, recipe: Path, tmp_path: Path) -> None:
    code, out, err = run("extract", data, "--out", tmp_path / "[cache]", "--recipe", recipe, "--device", "cpu")
    assert code == 0, err
    check_output(out, err)
    assert f"{tmp_path / '[cache]'}: " in out


def test_compare(trained: Path, data: Path, tmp_path: Path) -> None:
    run("evaluate", trained, data, "--out", tmp_path / "[/e]", "--device", "cpu")
    code, out, err = run("compare", trained, tmp_path / "[/e]", "--html", tmp_path / "page.html")
    assert code == 0, err
    check_output(out, err)
    assert f"1: {trained} " in out
    check_page(tmp_path / "page.html", str(trained), str(tmp_path / "[/e]"))


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "runtime"), [(".onnx", "onnxruntime"), (".xml", "openvino")])
def test_export(trained: Path, data: Path, tmp_path: Path, suffix: str, runtime: str) -> None:
    pytest.importorskip(runtime)
    model = tmp_path / f"[m] {{{{ m }}}}{suffix}"
    code, out, err = run("export", trained, "--out", model)
    assert code == 0, err
    check_output(out, err)
    code, out, err = run("predict", data.parent, "--model", model, "--top-k", 8)
    assert code == 0, err
    assert all(label in out for label in LABELS)


@pytest.mark.parametrize("command", ["info", "models", "datasets"])
def test_what_takes_no_names(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOCLF_CACHE", str(tmp_path / "[/close] \x1b[31m"))
    code, out, err = run(command)
    assert code == 0
    check_output(out, err)
    assert command != "info" or r"[/close] \x1b[31m" in out


@pytest.mark.parametrize(
    "command", ["predict", "evaluate", "export", "compare", "datasets", "train", "check", "extract"]
)
def test_what_is_not_there_is_named_as_it_is(command: str, tmp_path: Path) -> None:
    name = "[/close] \x1b[31m :smile:"
    arguments = {
        "predict": (name, "--engine", "torch"), "evaluate": ("actions16", name), "compare": (name, name),
        "export": (name, "--out", tmp_path / "a.onnx"), "train": (name, "--out", tmp_path / "run"),
        "datasets": (name,), "check": (name,), "extract": (name, "--set", "backbone.frozen=true", "--recipe", "tiny"),
    }[command]  # fmt: skip
    code, out, err = run(command, *arguments)
    assert code in {1, 2}
    check_output(out, err)
    assert r"[/close] \x1b[31m :smile:" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("label", ["\x1b[31mred", "new\nline", "\u202eturned"])
def test_a_class_that_no_model_file_can_name_is_refused_in_one_line(data: Path, tmp_path: Path, label: str) -> None:
    clips = tmp_path / "clips.csv"
    with clips.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for path, each in zip(sorted(data.parent.glob("*.mp4")), [label, "walk"] * 4, strict=False):
            writer.writerow([path, each])
    code, out, err = run("train", clips, "--out", tmp_path / "run", "--recipe", "tiny", "--split", "none")
    assert (code, out) == (1, "")
    check_output(err)
    assert "has a name that a model file cannot contain" in err
    code, out, err = run("check", clips, "--no-near-duplicates")
    check_output(out, err)
    assert printable(label) in out
