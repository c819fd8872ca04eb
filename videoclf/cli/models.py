"""``videoclf models``: the zoo."""

from __future__ import annotations

import json
from typing import Any

from videoclf.cli.console import output, print_result
from videoclf.cli.options import Json


def models(as_json: Json = False) -> None:
    """List the zoo: models that predict at once, and recipes to train."""
    from rich.table import Table

    from videoclf.zoo import DEFAULT_MODEL_NAME, recipe_names

    entries = [_describe(name) for name in recipe_names()]
    if as_json:
        for entry in entries:
            print_result(json.dumps(entry))
        return
    table = Table()
    for column in ("name", "weights", "classes", "figures", "description"):
        table.add_column(column)
    for entry in entries:
        default = " (default)" if entry["name"] == DEFAULT_MODEL_NAME else ""
        size = f"{entry['size_bytes'] / 1e6:.1f} MB" if entry["size_bytes"] else "train it"
        figures = ", ".join(f"{name} {value:.3g}" for name, value in entry["figures"].items())
        num_classes = str(len(entry["labels"])) if entry["labels"] else ""
        table.add_row(f"{entry['name']}{default}", size, num_classes, figures, entry["description"])
    output().print(table)


def _describe(name: str) -> dict[str, Any]:
    from videoclf.recipe.header import read_header
    from videoclf.recipe.recipe import load_recipe
    from videoclf.zoo import find_model, find_recipe, model_names

    recipe = load_recipe(find_recipe(name))
    entry: dict[str, Any] = {
        "name": name,
        "description": recipe.description,
        "backbone": recipe.backbone.name,
        "temporal": recipe.temporal.kind,
        "labels": [],
        "figures": {},
        "size_bytes": 0,
    }
    if name in model_names():
        path = find_model(name)
        header = read_header(path)
        entry.update(labels=list(header.labels), figures=header.figures, size_bytes=path.stat().st_size)
    return entry
