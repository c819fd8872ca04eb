"""The training loop: batches to weights, the best epoch chosen by validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from videoclf.data.batching import bucket_by_length
from videoclf.data.dataset import LabelledClip
from videoclf.errors import DatasetInvalid, TrainingDiverged
from videoclf.evaluation.report import EpochRecord
from videoclf.inference.engine import Float32Array
from videoclf.inference.pipeline import average_windows
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.sequences import pad_sequences
from videoclf.recipe.recipe import Training
from videoclf.training.examples import Example, Examples

Forward = Callable[[Tensor, Tensor], Tensor]
"""From padded steps ``B×T×...`` and lengths ``B`` to logits ``B×C``."""


@dataclass
class ClipLogits:
    """What the network says of a set of clips, window by window."""

    clips: list[LabelledClip] = field(default_factory=list)
    window_logits: list[list[Float32Array]] = field(default_factory=list)
    num_frames: list[list[int]] = field(default_factory=list)

    def score(self, targets: Sequence[int]) -> tuple[float, float]:
        """Mean negative log-likelihood in nats, and the share that is right."""
        probabilities = np.array(
            [average_windows(w, n, 1.0) for w, n in zip(self.window_logits, self.num_frames, strict=True)]
        )
        right = probabilities[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(right, 1e-12)).mean()), float((probabilities.argmax(1) == targets).mean())


class Trainer:
    """Trains a classifier on one device.

    Args:
        fabric: device and precision.
        classifier: its trainable parameters are those that require gradients.
        examples: frames for the whole network, or features for what stands behind a frozen backbone.
        labels: class names in the order of the logits.
        settings: the recipe's section.
        on_features: whether the examples are features.
    """

    def __init__(
        self,
        fabric: Fabric,
        classifier: VideoClassifier,
        examples: Examples,
        labels: Sequence[str],
        settings: Training,
        *,
        on_features: bool,
    ) -> None:
        self._fabric = fabric
        self._classifier = classifier
        self._examples = examples
        self._position = {label: i for i, label in enumerate(labels)}
        self._settings = settings
        optimizer = torch.optim.AdamW(_parameter_groups(classifier, settings), weight_decay=settings.weight_decay)
        self._module, self._optimizer = fabric.setup(classifier, optimizer)
        self._module.mark_forward_method("classify")
        self._forward: Forward = self._module.classify if on_features else self._module
        self._rng = np.random.default_rng(settings.seed)

    def epochs(
        self, train: Sequence[LabelledClip], validation: Sequence[LabelledClip]
    ) -> Iterator[tuple[EpochRecord, bool]]:
        """Train until the last epoch, or until validation has not improved for ``patience`` epochs.

        Yields:
            After each epoch its record, and whether it is the best so far; the classifier then holds its weights.

        Raises:
            DatasetInvalid: no clip to train on, or none to validate on, could be read.
            TrainingDiverged: the loss is no longer a number.
        """
        settings = self._settings
        steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, warmup_cosine(settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch)
        )
        best_epoch, best_loss = 0, math.inf
        for epoch in range(1, settings.epochs + 1):
            started = time.perf_counter()
            train_loss = self._train_epoch(train, schedule, is_first=epoch == 1)
            validation_loss, top1 = self._score(validation)
            if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
                raise TrainingDiverged(
                    f"epoch {epoch}: the loss is no longer a number; lower training.learning_rate "
                    f"(now {settings.learning_rate:g}) or training.gradient_clip_norm"
                )
            is_best = validation_loss < best_loss
            if is_best:
                best_epoch, best_loss = epoch, validation_loss
            yield (
                EpochRecord(
                    epoch=epoch,
                    train_loss=train_loss,
                    validation_loss=validation_loss,
                    validation_top1=top1,
                    learning_rate=schedule.get_last_lr()[0],
                    seconds=time.perf_counter() - started,
                ),
                is_best,
            )
            if epoch - best_epoch >= settings.patience:
                return

    @torch.inference_mode()
    def logits(self, clips: Sequence[LabelledClip]) -> ClipLogits:
        """What the network says of clips as they are, one clip at a time."""
        self._module.eval()
        result = ClipLogits()

        def look(window: Tensor) -> tuple[Float32Array, int]:
            logits = self._forward(*self._fabric.to_device(pad_sequences([window])))
            return logits[0].float().cpu().numpy(), len(window)

        for clip, seen in self._examples.for_validation(clips, look):
            result.clips.append(clip)
            result.window_logits.append([logits for logits, _ in seen])
            result.num_frames.append([num_frames for _, num_frames in seen])
        return result

    def targets(self, clips: Sequence[LabelledClip]) -> list[int]:
        """The clips' classes as positions in the logits."""
        return [self._position[clip.label] for clip in clips]

    def _train_epoch(
        self, train: Sequence[LabelledClip], schedule: torch.optim.lr_scheduler.LambdaLR, *, is_first: bool
    ) -> float:
        self._module.train()
        order = [train[i] for i in self._rng.permutation(len(train))]
        total_loss, num_clips = 0.0, 0
        examples = self._examples.for_training(order, self._rng)
        # the user waits for the first batch of the run, not for that of every epoch
        batches = bucket_by_length(examples, self._settings.batch_size, self._rng, starts_at_once=is_first)
        for batch in batches:
            total_loss += self._step(batch) * len(batch)
            num_clips += len(batch)
            schedule.step()
        if num_clips == 0:
            raise DatasetInvalid(f"not one of the {len(train)} clips to train on could be read; see the lines above")
        return total_loss / num_clips

    def _step(self, batch: Sequence[Example]) -> float:
        steps, num_steps = pad_sequences([example.steps for example in batch])
        target = torch.tensor([self._position[example.label] for example in batch])
        steps, num_steps, target = self._fabric.to_device((steps, num_steps, target))
        loss = cross_entropy(self._forward(steps, num_steps), target, label_smoothing=self._settings.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        self._fabric.clip_gradients(
            self._module,
            self._optimizer,
            max_norm=self._settings.gradient_clip_norm,
            error_if_nonfinite=False,  # `epochs` says it better
        )
        self._optimizer.step()
        return float(loss.detach())

    def _score(self, clips: Sequence[LabelledClip]) -> tuple[float, float]:
        said = self.logits(clips)
        if not said.clips:
            raise DatasetInvalid(f"not one of the {len(clips)} clips to validate on could be read; see the lines above")
        return said.score(self.targets(said.clips))


def warmup_cosine(num_warmup_steps: float, num_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at each step: a line up to 1, then half a cosine down to 0. (Loshchilov 2017)"""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / (num_warmup_steps + 1)
        progress = (step - num_warmup_steps) / max(1.0, num_steps - num_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor


def _parameter_groups(classifier: VideoClassifier, settings: Training) -> list[dict[str, object]]:
    """Matrices decay, vectors (biases, norms) do not; the backbone may have a learning rate of its own."""
    backbone_rate = settings.backbone_learning_rate or settings.learning_rate
    groups = []
    for part, rate in ((classifier.backbone, backbone_rate), (classifier.temporal, None), (classifier.head, None)):
        parameters: list[nn.Parameter] = [p for p in part.parameters() if p.requires_grad]
        for chosen, decay in (
            ([p for p in parameters if p.ndim >= 2], settings.weight_decay),
            ([p for p in parameters if p.ndim < 2], 0.0),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate or settings.learning_rate, "weight_decay": decay})
    return groups
