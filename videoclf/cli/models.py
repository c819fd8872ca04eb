"""``videoclf models``: the model zoo."""

from __future__ import annotations

import json
from typing import Any

from videoclf.cli.console import print_result, print_table
from videoclf.cli.options import Json


def models(as_json: Json = False) -> None:
    """List the model zoo: models that are ready to predict, and recipes to train.

    GFLOPs and milliseconds are for the network alone, on a clip of 16 frames, in float32 on a CPU.
    """
    from rich.table import Table

    from videoclf.zoo import DEFAULT_MODEL_NAME, measured_how, recipe_names

    entries = [_describe(name) for name in recipe_names()]
    if as_json:
        for entry in entries:
            print_result(json.dumps(entry))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for column in ("classes", "top-1", "M par.", "GFLOPs", "ms", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            entry["name"],
            entry["weights"],
            str(entry["num_classes"] or ""),
            next((f"{value:.3f}" for name, value in entry["figures"].items() if name.endswith("top1")), ""),
            f"{entry['num_parameters'] / 1e6:.1f}",
            f"{entry['gflops']:.1f}",
            f"{entry['network_ms']:.0f}",
            f"{entry['size_bytes'] / 1e6:.{0 if entry['size_bytes'] >= 1e8 else 1}f}",
        )
    print_table(table)
    print_result("")
    for entry in entries:
        default = "The default. " if entry["name"] == DEFAULT_MODEL_NAME else ""
        print_result(f"{entry['name']}: {default}{entry['description']}")
    how = measured_how()
    print_result("")
    print_result(f"M par.: millions of parameters. GFLOPs, ms: {how['clip']};")
    print_result(f"measured {how['date']} on {how['machine']}; {how['versions']}.")
    print_result("top-1: on held-out clips (actions16, see its card), or as published by torchvision (kinetics400-).")


def _describe(name: str) -> dict[str, Any]:
    from videoclf.recipe.header import read_header
    from videoclf.recipe.toml_io import load_recipe
    from videoclf.zoo import downloadable_names, find_model, find_recipe, measured, model_names

    recipe = load_recipe(find_recipe(name))
    entry: dict[str, Any] = {
        "name": name,
        "description": recipe.description,
        "weights": "download" if name in downloadable_names() else "train",
        "backbone": recipe.backbone.name,
        "temporal": recipe.temporal.kind,
        "labels": [],
        "num_classes": 0,
        "figures": {},
        **measured()[name],
    }
    if name in model_names():
        path = find_model(name)
        header = read_header(path)
        entry.update(
            weights="shipped",
            labels=list(header.labels),
            num_classes=len(header.labels),
            figures=header.figures,
            size_bytes=path.stat().st_size,
        )
    return entry
