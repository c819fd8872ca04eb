"""What each recipe key contributes: the recipe, and the recipe with one change each, cross-validated side by side.

    python benchmarks/ablation.py DATA --out DIR [--folds 5] [--seeds 3] [--recipe NAME|FILE] [--set KEY=VALUE]...
        [--only ROW]... [--trained]

Prints a Markdown table: top-1 and negative log-likelihood, pooled out of fold, with mean and deviation over the seeds;
the difference of top-1 to the recipe's; and both figures of the validation clips, by which recipes are chosen.
``--set`` applies to all rows: ``training.refit=false`` halves their time. ``--trained`` runs the rows that train the
backbone. Finished rows are kept in DIR, so an interrupted run continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import videoclf
from videoclf.evaluation.cross_validated import CrossvalMetrics, FoldRecord

ROWS: dict[str, tuple[str, ...]] = {
    "the recipe": (),
    "mean instead of the GRU": ("temporal.kind=mean",),
    "frames shuffled in time": ("sampling.order=shuffled",),
    "RGB alone": ('preprocess.channels=["rgb"]',),
    "gray triplets alone": ('preprocess.channels=["gray_triplet"]',),
    "RGB and difference": ('preprocess.channels=["rgb","difference"]',),
    "160 by 160 pixels": ("preprocess.height=160", "preprocess.width=160"),
    "no intermediate features": ("backbone.intermediate_stage_from_top=",),
    "layer norm for standardise": ("temporal.input_norm=layer",),
    "no statistics": ("temporal.statistics=false",),
    "mean pooling for attention": ("temporal.pooling=mean",),
    "one direction": ("temporal.bidirectional=false",),
    "no mirror images": ("training.horizontal_flip=false",),
    "no mirror images in testing": ("testing.horizontal_flip=false",),
    "no ridge beside it": ("head.ridge=false",),
    "the ridge alone": ("head.ridge_share=1.0",),
    "no part of a clip": ("training.min_crop_share=1.0",),
    "no dropout": ("temporal.dropout=0.0",),
    "dropout 0.5": ("temporal.dropout=0.5",),
    "no label smoothing": ("training.label_smoothing=0.0",),
    "trained again with validation clips": ("training.refit=true",),
    "best epoch kept": ("training.checkpoint_choice=best",),
    "no warm-up": ("training.warmup_epochs=0",),
    "weights averaged, 0.99": ("training.weight_average=0.99",),
    "classes drawn equally": ("training.class_balance=sampling",),
    "classes weighed": ("training.class_balance=loss",),
    "mixup 0.2": ("augment.mixup_alpha=0.2",),
    "CutMix 1.0": ("augment.cutmix_alpha=1.0",),
    "speed 0.25": ("augment.speed=0.25",),
    "jitter 0.5": ("augment.temporal_jitter=0.5",),
    "no augmentation": ("augment.crop_scale_min=", "augment.brightness=", "augment.contrast="),
    "crops, no colours": ("augment.brightness=", "augment.contrast="),
    "RandAugment too": ("augment.rand_augment_ops=2",),
    "erasing too": ("augment.erasing_probability=0.5",),
}
"""The first is what the others are compared with."""

_TRAINED = ("backbone.frozen=false", "head.ridge=false", "training.backbone_learning_rate=3e-4")
TRAINED_ROWS: dict[str, tuple[str, ...]] = {
    "top five stages trained": (*_TRAINED, "backbone.trainable_stages=5"),
    "all stages trained": _TRAINED,
    "layer-wise rates": (*_TRAINED, "training.layer_decay=0.8"),
    "layer-wise rates, temporal shift": (*_TRAINED, "training.layer_decay=0.8", "backbone.temporal_shift=true"),
}
"""Each epoch runs every clip through the backbone, and back: hours on a CPU. A shift needs
``backbone.intermediate_stage_from_top=``."""


def main() -> None:
    """Cross-validate each row and print its line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="CLASS/clip, or a list of path,label,group lines")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--folds", type=int, default=5, metavar="N")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--recipe", default="mobilenet_v2-gru", metavar="NAME|FILE")
    parser.add_argument("--group-regex", metavar="REGEX")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--trained", action="store_true", help="run the rows that train the backbone instead of the others"
    )
    parser.add_argument("--only", action="append", choices=[*ROWS, *TRAINED_ROWS], metavar="ROW", help="repeatable")
    arguments = parser.parse_args()
    print("| | top-1 | against the recipe | negative log-likelihood | validation: top-1 | negative log-likelihood |")
    print("| --- | --- | --- | --- | --- | --- |")
    first: CrossvalMetrics | None = None
    unchanged, *changes = ROWS
    for row in [unchanged, *(arguments.only or (TRAINED_ROWS if arguments.trained else changes))]:
        metrics = videoclf.crossval(
            arguments.data,
            out=arguments.out / row.replace(" ", "-").replace(",", ""),
            recipe=arguments.recipe,
            overrides=(*arguments.overrides, *{**ROWS, **TRAINED_ROWS}[row]),
            num_folds=arguments.folds,
            num_seeds=arguments.seeds,
            group_regex=arguments.group_regex,
            on_fold=lambda record, done, total, row=row: _print_fold(row, record, done, total),  # type: ignore[misc]
        )
        first = first or metrics
        gain = f"{metrics.top1.mean - first.top1.mean:+.3f}"
        validation = f"{metrics.validation_top1} | {metrics.validation_nll}"
        print(f"| {row} | {metrics.top1} | {gain} | {metrics.nll} | {validation} |", flush=True)


def _print_fold(row: str, record: FoldRecord, num_done: int, num_folds: int) -> None:
    print(f"{row}: fold {num_done} of {num_folds}, {record.seconds:.0f} s", end="\r", flush=True)


if __name__ == "__main__":
    main()
