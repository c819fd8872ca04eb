"""The training loop: batches to weights, the best epoch chosen by validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from videoclf.data.batching import bucket_by_length
from videoclf.data.dataset import LabelledClip, names_in
from videoclf.errors import DatasetInvalid, TrainingDiverged
from videoclf.evaluation.likelihood import Targets, mean_nll, share_right, truth_matrix
from videoclf.evaluation.report import EpochRecord
from videoclf.inference.engine import Float32Array
from videoclf.inference.pipeline import average_windows
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.sequences import pad_sequences
from videoclf.modeling.temporal import Standardise
from videoclf.recipe.recipe import Augment, Objective, Training
from videoclf.training.balance import balanced_order
from videoclf.training.examples import Example, Examples, Views
from videoclf.training.loss import Loss
from videoclf.training.mixing import mix_clips
from videoclf.training.parameter_groups import parameter_groups

Forward = Callable[[Tensor, Tensor], Tensor]
"""From padded steps ``B×T×...`` and lengths ``B`` to logits ``B×C``."""

_Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass
class ClipLogits:
    """What the network says of a set of clips, window by window."""

    clips: list[LabelledClip] = field(default_factory=list)
    window_logits: list[list[Float32Array]] = field(default_factory=list)
    num_frames: list[list[int]] = field(default_factory=list)
    objective: Objective = "softmax"

    def score(self, targets: Targets) -> tuple[float, float]:
        """Mean negative log-likelihood in nats, and the share whose best class (or label) is right."""
        windows = zip(self.window_logits, self.num_frames, strict=True)
        probabilities = np.array([average_windows(w, n, 1.0, self.objective) for w, n in windows])
        return mean_nll(probabilities, targets, self.objective), share_right(probabilities, targets)


class Trainer:
    """Trains a classifier on one device.

    Args:
        fabric: device and precision.
        classifier: its trainable parameters are those that require gradients.
        examples: frames for the whole network, or features for what stands behind a frozen backbone.
        labels: class names in the order of the logits.
        settings: the recipe's section.
        on_features: whether the examples are features.
        augment: the recipe's section; here, how the clips of a batch are mixed.

    Attributes:
        scored: the network that validation scores and that is to be kept: the classifier or, where the settings say so,
            the mean of its weights.
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
        augment: Augment = Augment(),  # noqa: B008  (frozen)
    ) -> None:
        self._fabric = fabric
        self._classifier = classifier
        self._examples = examples
        self._position = {label: i for i, label in enumerate(labels)}
        self._settings = settings
        self._augment = augment
        self._on_features = on_features
        self._averaged = averaged_weights(classifier, settings.weight_average) if settings.weight_average else None
        optimizer = torch.optim.AdamW(
            parameter_groups(classifier, settings), weight_decay=settings.weight_decay, fused=True
        )
        self._module, self._optimizer = fabric.setup(classifier, optimizer)
        self._module.mark_forward_method("classify")
        self._forward: Forward = self._module.classify if on_features else self._module
        self.scored, self._scored_module, self._scored_forward = classifier, self._module, self._forward
        if self._averaged is not None:
            self.scored = cast(VideoClassifier, self._averaged.module)
            self._scored_module = fabric.setup_module(self.scored)
            self._scored_module.mark_forward_method("classify")
            self._scored_forward = self._scored_module.classify if on_features else self._scored_module
        self._rng = np.random.default_rng(settings.seed)

    def epochs(
        self, train: Sequence[LabelledClip], validation: Sequence[LabelledClip]
    ) -> Iterator[tuple[EpochRecord, bool]]:
        """Train until the last epoch, or until validation has not improved for ``patience`` epochs.

        Yields:
            After each epoch its record, and whether its weights are to be kept: the best so far, or, where the settings
            say so, the last; `scored` then holds them.

        Raises:
            DatasetInvalid: no clip to train on, or none to validate on, could be read.
            TrainingDiverged: the loss is no longer a number.
        """
        settings = self._settings
        self._standardise(train)
        schedule = self._schedule(len(train))
        best_epoch, best_loss = 0, math.inf
        for epoch in range(1, settings.epochs + 1):
            started = time.perf_counter()
            train_loss = self._train_epoch(train, schedule, is_first=epoch == 1)
            validation_loss, top1 = self._score(validation)
            self._check(epoch, train_loss, validation_loss)
            is_kept = validation_loss < best_loss or settings.keep == "last"
            if is_kept:
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
                is_kept,
            )
            if epoch - best_epoch >= settings.patience:
                return

    def refit(self, clips: Sequence[LabelledClip], num_epochs: int) -> None:
        """Train for so many epochs of the recipe's schedule; nothing is looked at on the way.

        Raises:
            DatasetInvalid: no clip could be read.
            TrainingDiverged: the loss is no longer a number.
        """
        self._standardise(clips)
        schedule = self._schedule(len(clips))
        for epoch in range(1, num_epochs + 1):
            self._check(epoch, self._train_epoch(clips, schedule, is_first=False))

    def weights(self) -> dict[str, Tensor]:
        """A copy of what has been learnt so far: the weights of `scored`."""
        return {name: tensor.detach().clone() for name, tensor in self.scored.state_dict().items()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Go back to what `weights` gave."""
        self.scored.load_state_dict(weights)

    @torch.inference_mode()
    def logits(self, clips: Sequence[LabelledClip]) -> ClipLogits:
        """What the network says of clips as they are, one clip at a time."""
        self._scored_module.eval()
        result = ClipLogits(objective=self._settings.objective)

        def look(views: Views) -> tuple[Float32Array, int]:
            logits_VC = self._scored_forward(*self._fabric.to_device(pad_sequences(views)))
            return logits_VC.float().mean(dim=0).cpu().numpy(), len(views[0])

        for clip, seen in self._examples.for_validation(clips, look):
            result.clips.append(clip)
            result.window_logits.append([logits for logits, _ in seen])
            result.num_frames.append([num_frames for _, num_frames in seen])
        return result

    def targets(self, clips: Sequence[LabelledClip]) -> Targets:
        """The clips' classes, or each one's labels, as positions in the logits."""
        return self._targets([clip.label for clip in clips])

    def _targets(self, labels: Sequence[str]) -> Targets:
        if self._settings.objective == "sigmoid":
            return [tuple(self._position[name] for name in names_in(label)) for label in labels]
        return [self._position[label] for label in labels]

    @torch.inference_mode()
    def _standardise(self, clips: Sequence[LabelledClip]) -> None:
        """Tell a network that standardises its features how they are spread over the training clips."""
        layers = [module for module in self._classifier.temporal.modules() if isinstance(module, Standardise)]
        if not layers:
            return
        self._module.eval()
        moments = FeatureMoments()

        def look(views: Views) -> None:
            steps, num_steps = self._fabric.to_device(pad_sequences(views[:1]))
            moments.add((steps if self._on_features else self._classifier.encode(steps, num_steps)[0])[0])

        for _ in self._examples.for_validation(clips, look):
            pass
        if moments.num_steps:
            scored = [module for module in self.scored.temporal.modules() if isinstance(module, Standardise)]
            for layer in (*layers, *scored):
                layer.set_statistics(*moments.mean_and_deviation())

    def _schedule(self, num_clips: int) -> torch.optim.lr_scheduler.LambdaLR:
        settings = self._settings
        steps_per_epoch = math.ceil(num_clips / settings.batch_size)
        factor = warmup_cosine(settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch)
        return torch.optim.lr_scheduler.LambdaLR(self._optimizer, factor)

    def _check(self, epoch: int, *losses: float) -> None:
        if not all(map(math.isfinite, losses)):
            raise TrainingDiverged(
                f"epoch {epoch}: the loss is no longer a number; lower training.learning_rate "
                f"(now {self._settings.learning_rate:g}) or training.gradient_clip_norm"
            )

    def _train_epoch(
        self, train: Sequence[LabelledClip], schedule: torch.optim.lr_scheduler.LambdaLR, *, is_first: bool
    ) -> float:
        self._module.train()
        truth_NC = self._truth([clip.label for clip in train])
        loss = Loss(self._settings, truth_NC, has_soft_targets=self._augment.mixes_clips)
        if self._settings.class_balance == "sampling":
            order = [train[i] for i in balanced_order([clip.label for clip in train], self._rng)]
        else:
            order = [train[i] for i in self._rng.permutation(len(train))]
        total_loss, num_clips = 0.0, 0
        examples = self._examples.for_training(order, self._rng)
        # the user waits for the first batch of the run, not for that of every epoch
        batches = bucket_by_length(examples, self._settings.batch_size, self._rng, starts_at_once=is_first)
        for batch in batches:
            total_loss += self._step(batch, loss) * len(batch)
            num_clips += len(batch)
            schedule.step()
        if num_clips == 0:
            raise DatasetInvalid(f"not one of the {len(train)} clips to train on could be read; see the lines above")
        return total_loss / num_clips

    def _truth(self, labels: Sequence[str]) -> Tensor:
        """``B×C`` float, 1 where a clip is of a class or has a label, else 0."""
        return torch.from_numpy(truth_matrix(self._targets(labels), len(self._position))).float()

    def _step(self, batch: Sequence[Example], loss_of: Loss) -> float:
        steps, num_steps = pad_sequences([example.steps for example in batch])
        truth_BC = self._truth([example.label for example in batch])
        steps, truth_BC = mix_clips(steps, num_steps, truth_BC, self._augment, self._rng)
        steps, num_steps, truth_BC = self._fabric.to_device((steps, num_steps, truth_BC))
        loss = loss_of(self._forward(steps, num_steps), truth_BC)
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        self._fabric.clip_gradients(
            self._module,
            self._optimizer,
            max_norm=self._settings.gradient_clip_norm,
            error_if_nonfinite=False,  # `epochs` says it better
        )
        self._optimizer.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._classifier)
        return float(loss.detach())

    def _score(self, clips: Sequence[LabelledClip]) -> tuple[float, float]:
        said = self.logits(clips)
        if not said.clips:
            raise DatasetInvalid(f"not one of the {len(clips)} clips to validate on could be read; see the lines above")
        return said.score(self.targets(said.clips))


def averaged_weights(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that follows it as the exponential moving average of its weights and batch norms' statistics.

    After the n-th step ``min(decay, (1 + n) / (10 + n))`` of the average stays: a short run is not held back by weights
    from before its first steps. (TensorFlow's ExponentialMovingAverage)
    """

    moving_average: Any = get_ema_multi_avg_fn  # untyped

    def average(averaged: _Tensors, current: _Tensors, num_averaged: Tensor | int) -> None:
        n = int(num_averaged)
        moving_average(min(decay, (1 + n) / (10 + n)))(averaged, current, num_averaged)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


class FeatureMoments:
    """Mean and deviation of features, gathered window by window."""

    def __init__(self) -> None:
        self.num_steps = 0
        self._sum = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, steps_TD: Tensor) -> None:
        """One window more."""
        steps = steps_TD.double()
        self.num_steps += len(steps)
        self._sum = self._sum.to(steps.device) + steps.sum(dim=0)
        self._squares = self._squares.to(steps.device) + (steps**2).sum(dim=0)

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """``D`` each, float32."""
        mean = self._sum / self.num_steps
        return mean.float(), (self._squares / self.num_steps - mean**2).clamp_min(0).sqrt().float()


def warmup_cosine(num_warmup_steps: float, num_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at each step: a line up to 1, then half a cosine down to 0. (Loshchilov 2017)"""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / (num_warmup_steps + 1)
        progress = (step - num_warmup_steps) / max(1.0, num_steps - num_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor
