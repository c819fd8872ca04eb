"""The training loop, on features so small that a test can see what it does."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.errors import DatasetInvalidError, TrainingDivergedError
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.augment import Augment
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import parse_recipe
from videoclf.training.examples.decoded import Draw, Example, Seen, Views, crop_steps
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.loop.position import Position
from videoclf.training.loop.trainer import Trainer

LABELS = ("down", "up")
FEATURE_SIZE = 432  # of the tiny backbone


class RampExamples:
    """Clips whose one informative feature rises or falls: order is all that tells the classes apart."""

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        for draw in draws:
            yield Example(self.steps(draw.clip), draw.clip.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        for clip in clips:
            yield clip, [look((self.steps(clip),), len(self.steps(clip)))]

    def for_statistics(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen], **_limits: object
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        return self.for_validation(clips, look)

    def steps(self, clip: LabelledClip) -> Tensor:
        number = int(clip.path.stem)
        ramp = torch.linspace(-1, 1, 4 + number % 5)
        steps = torch.zeros(len(ramp), FEATURE_SIZE)
        steps[:, 0] = ramp if clip.label == "up" else -ramp
        return steps


class MisleadingValidation(RampExamples):
    """Validation clips show the other class: the better the training, the worse they do."""

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        for clip in clips:
            yield clip, [look((self.steps(clip).flip(0),), len(self.steps(clip)))]


class NoExamples(RampExamples):
    """Nothing can be read."""

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        return iter([None] * len(draws))


CLIPS = [LabelledClip(Path(f"{number}.avi"), LABELS[number % 2], None) for number in range(24)]
RECIPE = Recipe.model_validate(
    {
        "backbone": {"name": "tiny", "frozen": True},
        "temporal": {"projection_size": 16, "hidden_size": 16, "pooling": "last"},
        "training": {"epochs": 25, "patience": 4, "batch_size": 4, "learning_rate": 1e-2, "warmup_epochs": 0},
    }
)


def build(recipe: Recipe = RECIPE, examples: RampExamples | None = None) -> tuple[Trainer, VideoClassifier]:
    torch.manual_seed(recipe.training.seed)
    classifier = build_classifier(recipe, 2)
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Trainer(fabric, classifier, examples or RampExamples(), LABELS, recipe.training, on_features=True)
    return trainer, classifier


def test_it_learns_the_order() -> None:
    trainer, _ = build()
    records = [record for record, _ in trainer.epochs(CLIPS[:16], CLIPS[16:])]
    assert records[-1].validation_top1 == 1
    assert records[-1].train_loss < records[0].train_loss / 2


def test_the_best_epochs_are_those_with_the_lowest_validation_loss_so_far() -> None:
    trainer, _ = build()
    lowest = float("inf")
    for record, is_best in trainer.epochs(CLIPS[:16], CLIPS[16:]):
        assert is_best == (record.validation_loss < lowest)
        lowest = min(lowest, record.validation_loss)


def test_it_stops_when_validation_no_longer_improves() -> None:
    trainer, _ = build(examples=MisleadingValidation())
    records = list(trainer.epochs(CLIPS[:16], CLIPS[16:]))
    best = max(number for number, (_, is_best) in enumerate(records, start=1) if is_best)
    assert len(records) == best + RECIPE.training.patience < RECIPE.training.epochs


def test_a_frozen_backbone_does_not_move() -> None:
    trainer, classifier = build()
    before = {name: tensor.clone() for name, tensor in classifier.backbone.state_dict().items()}
    next(iter(trainer.epochs(CLIPS[:16], CLIPS[16:])))
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.backbone.state_dict().items())


def test_the_same_seed_gives_the_same_weights() -> None:
    results = []
    for _ in range(2):
        trainer, classifier = build()
        list(trainer.epochs(CLIPS[:16], CLIPS[16:]))
        results.append(classifier.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize(("keep", "num_validated"), [("last", 1), ("best", 12)])
def test_unwatched_only_a_last_epoch_that_is_kept_is_validated_and_the_weights_are_the_same(
    keep: str, num_validated: int
) -> None:
    results, records = [], []
    for is_watched in (True, False):
        trainer, classifier = build(with_training(epochs=12, patience=12, keep=keep))
        records.append(list(trainer.epochs(CLIPS[:16], CLIPS[16:], is_watched=is_watched)))
        results.append(classifier.state_dict())
    assert (len(records[0]), len(records[1])) == (12, num_validated)
    assert records[1][-1][0].validation_loss == records[0][-1][0].validation_loss
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


VARIANTS = [
    {"dropout": 0.5},
    {"dropout": 0.5, "weight_average": 0.9, "accumulate": 2, "class_balance": "sampling"},
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_stopped_after_any_step_and_resumed_the_same_weights_come_out(settings: dict[str, Any]) -> None:
    dropout = settings.get("dropout", 0)
    rest = {key: value for key, value in settings.items() if key != "dropout"}
    recipe = with_training(epochs=3, **rest)
    recipe = recipe.model_copy(update={"temporal": recipe.temporal.model_copy(update={"dropout": dropout})})
    trainer, _ = build(recipe)
    records = [record for record, _ in trainer.epochs(CLIPS[:15], CLIPS[16:])]
    undisturbed = trainer.weights()

    class StopError(Exception):
        pass

    def stop_after(num_steps: int, stopped: Trainer) -> None:
        def check(position: Position, _spent: object) -> None:
            if position.num_steps == num_steps:
                raise StopError

        stopped.after_step = check

    for num_steps in range(1, trainer.position.num_steps):
        stopped, _ = build(recipe)
        stop_after(num_steps, stopped)
        with pytest.raises(StopError):
            list(stopped.epochs(CLIPS[:15], CLIPS[16:]))
        buffer = io.BytesIO()
        torch.save(stopped.state(), buffer)
        resumed, _ = build(recipe)
        resumed.restore_state(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
        rest_of_records = [record for record, _ in resumed.epochs(CLIPS[:15], CLIPS[16:])]
        assert rest_of_records[-1].validation_loss == records[-1].validation_loss
        assert rest_of_records[0].train_loss == records[-len(rest_of_records)].train_loss
        assert all(torch.equal(undisturbed[name], tensor) for name, tensor in resumed.weights().items())


def test_with_other_steps_the_epoch_begins_anew_and_the_rate_ends_where_it_should() -> None:
    """Two batches a step in place of one, as another number of processes would have it."""
    one, two = (with_training(epochs=6, patience=6, batch_size=4, accumulate=number) for number in (1, 2))
    unbroken, _ = build(two)
    rates = [record.learning_rate for record, _ in unbroken.epochs(CLIPS[:16], CLIPS[16:])]
    stopped, _ = build(one)
    for record, _ in stopped.epochs(CLIPS[:16], CLIPS[16:]):
        if record.epoch == 2:
            break
    state = stopped.state()
    state["place"] |= {"pool": 0, "batch": 2, "step": 2}  # in the middle of the third
    resumed, _ = build(two)
    resumed.restore_state(state)
    assert resumed.position == Position(epoch=3, num_steps=state["place"]["num_steps"])
    rest = [record for record, _ in resumed.epochs(CLIPS[:16], CLIPS[16:])]
    assert [record.epoch for record in rest] == [3, 4, 5, 6]
    assert [record.learning_rate for record in rest] == rates[2:]


def test_a_process_that_read_no_clip_takes_part_without_weight() -> None:
    class Beside:
        """The second of two processes; the first has a clip in every batch."""

        rank, size = 1, 2

        def sum(self, values: Sequence[float]) -> np.ndarray:
            return np.array(values, dtype=np.float64) + 1

        def gather(self, value: Any) -> list[Any]:
            return [Example(RampExamples().steps(CLIPS[0]), "up"), value] if value is None else [value]

    recipe = with_training(epochs=1, batch_size=4)
    fabric = Fabric(accelerator="cpu", devices=1)
    classifier = build_classifier(recipe, 2)
    trainer = Trainer(
        fabric, classifier, NoExamples(), LABELS, recipe.training, on_features=True, process_group=Beside()
    )  # fmt: skip
    [(record, _)] = trainer.epochs(CLIPS[:16], CLIPS[16:])
    assert trainer.position.num_steps == 2
    assert record.train_loss == 1  # the other's alone


def test_gradients_of_accumulated_batches_are_those_of_one_batch() -> None:
    """Eight clips in two batches of four: the mean over all of them, also where one batch is smaller."""
    results = []
    for settings in ({"batch_size": 8}, {"batch_size": 4, "accumulate": 2}):
        trainer, classifier = build(with_training(epochs=1, gradient_clip_norm=1000, **settings))
        next(iter(trainer.epochs(CLIPS[:7], CLIPS[16:])))
        results.append(classifier.state_dict())
    for name, tensor in results[0].items():
        torch.testing.assert_close(tensor, results[1][name], atol=1e-6, rtol=1e-5)


def test_no_readable_clip_is_an_error() -> None:
    trainer, _ = build(examples=NoExamples())
    with pytest.raises(DatasetInvalidError, match="not one of the 16 clips to train on could be read"):
        next(iter(trainer.epochs(CLIPS[:16], CLIPS[16:])))


def test_a_loss_that_is_no_number_ends_the_run_and_says_what_to_lower() -> None:
    recipe = RECIPE.model_copy(update={"training": RECIPE.training.model_copy(update={"learning_rate": 10.0})})
    trainer, classifier = build(recipe)
    with torch.no_grad():
        next(classifier.temporal.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingDivergedError, match=r"epoch 1: .* lower training.learning_rate \(now 10\)"):
        next(iter(trainer.epochs(CLIPS[:16], CLIPS[16:])))


def test_cropping_takes_a_contiguous_part_of_at_least_the_share() -> None:
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(200):
        part = crop_steps(torch.arange(10), 0.6, rng).tolist()
        assert part == list(range(part[0], part[0] + len(part)))
        lengths.add(len(part))
    assert lengths == {6, 7, 8, 9, 10}
    assert crop_steps(torch.arange(1), 0.1, rng).tolist() == [0]


def with_training(**settings: object) -> Recipe:
    return parse_recipe(RECIPE.model_dump(), [f"training.{key}={value}" for key, value in settings.items()], source="x")


@pytest.mark.parametrize("section", [{"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0}], ids=["mixup", "cutmix"])
def test_it_learns_from_mixed_clips(section: dict[str, float]) -> None:
    torch.manual_seed(0)
    classifier = build_classifier(RECIPE, 2)
    fabric = Fabric(accelerator="cpu", devices=1)
    settings, augment = RECIPE.training, Augment.model_validate(section)
    trainer = Trainer(fabric, classifier, RampExamples(), LABELS, settings, on_features=True, augment=augment)
    assert max(record.validation_top1 for record, _ in trainer.epochs(CLIPS[:16], CLIPS[16:])) >= 0.75


def test_without_an_average_the_trained_weights_are_scored() -> None:
    trainer, classifier = build()
    assert trainer.scored is classifier


def test_the_average_of_the_weights_lags_behind_and_is_what_is_scored() -> None:
    trainer, classifier = build(with_training(weight_average=0.999, epochs=3))
    start = [parameter.detach().clone() for parameter in classifier.parameters()]
    for record, _ in trainer.epochs(CLIPS[:16], CLIPS[16:]):
        said = trainer.logits(CLIPS[16:])
        assert said.score(trainer.targets(said.clips))[0] == record.validation_loss
    moved = [
        (float((mean - first).detach().norm()), float((last - first).detach().norm()))
        for first, mean, last in zip(start, trainer.scored.parameters(), classifier.parameters(), strict=True)
        if last.requires_grad
    ]
    assert sum(mean < last for mean, last in moved) > len(moved) / 2
    assert all(mean > 0 for mean, _ in moved)
    steps, num_steps = RampExamples().steps(CLIPS[16])[None], torch.tensor([len(RampExamples().steps(CLIPS[16]))])
    with torch.inference_mode():
        logits = trainer.scored.eval().classify(steps, num_steps)
    np.testing.assert_allclose(logits[0].numpy(), said.window_logits[0][0], atol=1e-6)


def test_balanced_sampling_shows_each_class_equally_often() -> None:
    shown: list[str] = []

    class Watched(RampExamples):
        def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
            shown.extend(draw.clip.label for draw in draws)
            return super().for_training(draws)

    clips = [clip for clip in CLIPS[:16] if clip.label == "up" or int(clip.path.stem) < 4]
    trainer, _ = build(with_training(class_balance="sampling"), Watched())
    next(iter(trainer.epochs(clips, CLIPS[16:])))
    assert (shown.count("up"), shown.count("down")) == (5, 5)


def test_as_many_batches_go_forward_before_the_first_goes_back_as_are_to_be_in_flight() -> None:
    settings = RECIPE.training.model_copy(update={"accumulate": 4, "epochs": 1, "batch_size": 2})
    classifier, ways = build_classifier(RECIPE, 2), []
    classifier.head.register_forward_hook(lambda *_: ways.append("forward") if classifier.training else None)
    classifier.head.register_full_backward_hook(lambda *_: ways.append("back"))
    trainer = Trainer(
        Fabric(accelerator="cpu", devices=1), classifier, RampExamples(), LABELS, settings, on_features=True,
        num_in_flight=2,
    )  # fmt: skip
    list(trainer.epochs(CLIPS[:16], CLIPS[16:]))
    assert ways == ["forward", "forward", "back", "back"] * 4  # two steps of four batches


def with_ridge(share: float | None = None) -> tuple[Trainer, VideoClassifier]:
    tree = RECIPE.model_dump() | {"head": {"ridge": True, "ridge_share": share}}
    recipe = Recipe.model_validate(tree)
    classifier = build_classifier(recipe, 2)
    fabric = Fabric(accelerator="cpu", devices=1)
    probe = LinearProbe(RampExamples(), LABELS, recipe.training)  # type: ignore[arg-type]
    return Trainer(
        fabric, classifier, RampExamples(), LABELS, recipe.training, on_features=True, probe=probe
    ), classifier


def test_a_ridge_is_fitted_once_before_the_first_step() -> None:
    trainer, classifier = with_ridge()
    assert classifier.ridge is not None
    trainer.prepare(CLIPS)
    fitted = classifier.ridge.weight.clone()
    assert fitted.abs().max() > 0
    classifier.ridge.weight.fill_(0)
    list(trainer.epochs(CLIPS, CLIPS))
    assert classifier.ridge.weight.abs().max() == 0


def test_the_other_weights_are_trained_as_without_it() -> None:
    torch.manual_seed(RECIPE.training.seed)
    trainer, classifier = with_ridge()
    plain, alone = build()
    for each in (trainer, plain):
        each.refit(CLIPS, 2)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(classifier.state_dict()[name], tensor), name


def test_the_share_of_a_ridge_that_cannot_know_the_order_is_lowered() -> None:
    trainer, classifier = with_ridge()
    assert classifier.ridge is not None
    assert float(classifier.ridge.share) == pytest.approx(0.6)
    list(trainer.epochs(CLIPS, CLIPS))
    classifier.ridge.bias.copy_(torch.tensor([3.0, -3.0]))  # sure of itself, and right for every second clip
    assert trainer.choose_ridge_share(CLIPS) < 0.6
    assert float(classifier.ridge.share) < 0.5
    said = trainer.logits(CLIPS)
    assert said.score(trainer.targets(said.clips))[1] == 1


def test_a_ridge_without_its_probe_and_a_probe_without_its_ridge_are_refused() -> None:
    recipe = Recipe.model_validate(RECIPE.model_dump() | {"head": {"ridge": True}})
    with pytest.raises(ValueError, match="needs a LinearProbe"):
        build(recipe)[0].prepare(CLIPS)
    with pytest.raises(ValueError, match="has no ridge"):
        build()[0].choose_ridge_share(CLIPS)
