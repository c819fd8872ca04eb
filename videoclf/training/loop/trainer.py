"""The training loop: batches to weights, the best epoch chosen by validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from videoclf.data.batching import make_pools
from videoclf.data.dataset import LabelledClip, names_in
from videoclf.epoch_record import EpochRecord
from videoclf.errors import DatasetInvalidError, TrainingDivergedError
from videoclf.evaluation.likelihood import Targets, mean_nll, top1_accuracy, truth_matrix
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.padding import pad_sequences
from videoclf.modeling.temporal.gru import Standardise
from videoclf.recipe.augment import Augment
from videoclf.recipe.training import Objective, Training
from videoclf.training.examples.class_balance import balanced_order
from videoclf.training.examples.decoded import Draw, Example, Examples, Views
from videoclf.training.examples.mixing import mix_clips
from videoclf.training.loop.collectives import Alone, Team
from videoclf.training.loop.feature_statistics import FeatureMoments
from videoclf.training.loop.loss import Loss
from videoclf.training.loop.parameter_groups import parameter_groups
from videoclf.training.loop.position import AfterStep, Place, Spent
from videoclf.training.loop.rng import Chance, Purpose

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
        return mean_nll(probabilities, targets, self.objective), top1_accuracy(probabilities, targets)


class Trainer:
    """Trains a classifier, alone or as one of several processes, each of which has a device.

    Everything random is drawn by place (`videoclf.training.loop.rng`): what a step does depends on the weights and on
    `place` alone.

    Args:
        fabric: device and precision.
        classifier: where it is to be, all on the fabric's device or some parts elsewhere; its trainable parameters are
            those that require gradients.
        examples: frames for the whole network, or features for what stands behind a frozen backbone.
        labels: class names in the order of the logits.
        settings: the recipe's section.
        on_features: whether the examples are features.
        augment: the recipe's section; here, how the clips of a batch are mixed.
        team: the processes that train the same network. Each has batches of its own; gradients are averaged over all
            clips of a step, wherever they are.
        num_in_flight: of a step's batches (``training.accumulate``), so many go forward before the first of them goes
            back: on as many devices, each of which holds a part of the network, they keep all of them busy, and none
            has more to remember than one device would of one batch.

    Attributes:
        scored: the network that validation scores and that is to be kept: the classifier or, where the settings say so,
            the mean of its weights.
        place: where it is.
        after_step: called after every step, when `state` is whole.
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
        team: Team = Alone(),  # noqa: B008  (holds nothing)
        num_in_flight: int = 1,
    ) -> None:
        self._team = team
        self._num_in_flight = num_in_flight
        self.after_step: AfterStep = lambda _place, _spent: None
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
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._module, self._optimizer = fabric.setup(classifier, optimizer, move_to_device=False)
        self._module.mark_forward_method("classify")
        self._forward: Forward = self._module.classify if on_features else self._module
        self.scored = classifier
        if self._averaged is not None:
            self.scored = cast(VideoClassifier, self._averaged.module)
        self._stand_in: Example | None = None  # the first that any process read; all of them have it, or none
        self.place = Place()
        self._best_epoch, self._best_loss = 0, math.inf

    def epochs(
        self, train: Sequence[LabelledClip], validation: Sequence[LabelledClip], *, is_watched: bool = True
    ) -> Iterator[tuple[EpochRecord, bool]]:
        """Train until the last epoch, or until validation has not improved for ``patience`` epochs.

        Args:
            train: the clips to learn from.
            validation: the clips to score.
            is_watched: False: nobody follows the course of it, so that where the last epoch's weights are kept in any
                case, those before it are not validated. The weights are the same; clips that cannot be read are told
                late.

        Yields:
            After each epoch that was validated its record, and whether its weights are to be kept: the best so far, or,
            where the settings say so, the last; `scored` then holds them.

        Raises:
            DatasetInvalidError: no clip to train on, or none to validate on, could be read.
            TrainingDivergedError: the loss is no longer a number.
        """
        settings = self._settings
        chance = Chance(settings.seed, stage=0)
        self._standardise(train)
        while self.place.epoch <= settings.epochs and self.place.epoch - 1 - self._best_epoch < settings.patience:
            started = time.perf_counter()
            epoch = self.place.epoch
            spent = self._train_epoch(train, chance)
            trained, speed, waiting = self.place, spent.clips_per_second, spent.waiting_share
            if not is_watched and settings.checkpoint_choice == "last" and epoch < settings.epochs:
                self._check(epoch, trained.mean_loss)
                self._best_epoch = epoch
                self.place = Place(epoch=epoch + 1, num_steps=self.place.num_steps)
                continue
            validation_loss, top1 = self._score(validation)
            self._check(epoch, trained.mean_loss, validation_loss)
            is_kept = validation_loss < self._best_loss or settings.checkpoint_choice == "last"
            if is_kept:
                self._best_epoch, self._best_loss = epoch, validation_loss
            self.place = Place(epoch=epoch + 1, num_steps=self.place.num_steps)
            record = EpochRecord(
                epoch=epoch,
                train_loss=trained.mean_loss,
                train_top1=trained.top1,
                validation_loss=validation_loss,
                validation_top1=top1,
                learning_rate=self._optimizer.param_groups[0]["lr"],
                seconds=time.perf_counter() - started,
                clips_per_second=speed,
                waiting_share=waiting,
            )
            yield record, is_kept

    def refit(self, clips: Sequence[LabelledClip], num_epochs: int) -> None:
        """Train for so many epochs of the recipe's schedule; nothing is looked at on the way.

        Raises:
            DatasetInvalidError: no clip could be read.
            TrainingDivergedError: the loss is no longer a number.
        """
        chance = Chance(self._settings.seed, stage=1)
        self._standardise(clips)
        while self.place.epoch <= num_epochs:
            epoch = self.place.epoch
            self._train_epoch(clips, chance)
            self._check(epoch, self.place.mean_loss)
            self.place = Place(epoch=epoch + 1, num_steps=self.place.num_steps)

    def state(self) -> dict[str, Any]:
        """Where it is and what it has learnt, as tensors (not copies) and primitives; see `restore_state`."""
        return {
            "place": asdict(self.place),
            "num_shards": self._num_shards,
            "best": (self._best_epoch, self._best_loss),
            "optimizer": self._optimizer.state_dict(),
            "classifier": self._learnt(self._classifier.state_dict()),
            "averaged": None if self._averaged is None else self._learnt(self._averaged.state_dict()),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave, of a trainer of the same make: the same weights then come out, to the bit.

        With another number of processes steps are cut otherwise: the epoch that was under way then begins anew.
        """
        self.place = Place(**state["place"])
        if state["num_shards"] != self._num_shards:
            self.place = Place(epoch=self.place.epoch, num_steps=self.place.num_steps)
        self._best_epoch, self._best_loss = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._classifier.load_state_dict(state["classifier"], strict=False)  # all that `_learnt` leaves out is frozen
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"], strict=False)

    @property
    def _num_shards(self) -> int:
        """Batches a step, of all processes."""
        return self._team.size * self._settings.accumulate

    def _learnt(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Without those of a frozen backbone."""
        parts = {name: name.removeprefix("module.").split(".")[0] for name in weights}
        return {name: weights[name] for name in weights if not (self._on_features and parts[name] == "backbone")}

    def weights(self) -> dict[str, Tensor]:
        """A copy of what has been learnt so far: the weights of `scored`, without those of a frozen backbone."""
        return {name: tensor.detach().clone() for name, tensor in self._learnt(self.scored.state_dict()).items()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Go back to what `weights` gave."""
        self.scored.load_state_dict(weights, strict=False)

    @torch.inference_mode()
    def logits(self, clips: Sequence[LabelledClip]) -> ClipLogits:
        """What the network says of clips as they are, one clip at a time; each process looks at its share of them."""
        self.scored.eval()
        # not through Fabric's module: several processes need not make as many calls as one another here
        forward: Forward = self.scored.classify if self._on_features else self.scored

        def look(views: Views, num_frames: int) -> tuple[Float32Array, int]:
            with self._fabric.autocast():
                logits_VC = forward(*self._fabric.to_device(pad_sequences(views)))
            return logits_VC.float().mean(dim=0).cpu().numpy(), num_frames

        mine = clips[self._team.rank :: self._team.size]
        shares = self._team.gather(dict(self._examples.for_validation(mine, look)))
        seen_of = {clip: seen for share in shares for clip, seen in share.items()}
        seen_in_order = [(clip, seen_of[clip]) for clip in clips if clip in seen_of]
        return ClipLogits(
            [clip for clip, _ in seen_in_order],
            [[logits for logits, _ in seen] for _, seen in seen_in_order],
            [[num_frames for _, num_frames in seen] for _, seen in seen_in_order],
            self._settings.objective,
        )

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
        if not layers or self.place != Place():
            return
        self._classifier.eval()
        own = FeatureMoments()

        def look(views: Views, _num_frames: int) -> None:
            steps, num_steps = self._fabric.to_device(pad_sequences(views[:1]))
            own.add((steps if self._on_features else self._classifier.encode(steps, num_steps)[0])[0])

        for _ in self._examples.for_validation(clips[self._team.rank :: self._team.size], look):
            pass
        moments = FeatureMoments.together(self._team.gather(own))
        if moments.num_steps:
            scored = [module for module in self.scored.temporal.modules() if isinstance(module, Standardise)]
            for layer in (*layers, *scored):
                layer.set_statistics(*moments.mean_and_deviation())

    def _check(self, epoch: int, *losses: float) -> None:
        if not all(map(math.isfinite, losses)):
            raise TrainingDivergedError(
                "the loss is no longer a number",
                source=f"epoch {epoch}",
                hint=f"lower training.learning_rate (now {self._settings.learning_rate:g}) or "
                "training.gradient_clip_norm",
            )

    def _train_epoch(self, train: Sequence[LabelledClip], chance: Chance) -> Spent:
        """From `place` to the end of its epoch, behind its last pool."""
        spent = Spent()
        settings, epoch = self._settings, self.place.epoch
        team = self._team
        mine = range(team.rank * settings.accumulate, (team.rank + 1) * settings.accumulate)
        self._module.train()
        truth_NC = self._truth([clip.label for clip in train])
        loss = Loss(settings, truth_NC, has_soft_targets=self._augment.mixes_clips)
        steps_per_epoch = math.ceil(len(train) / (settings.batch_size * self._num_shards))
        factor = warmup_cosine(settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch)
        # the user waits for the first batch of the run, not for that of every epoch
        pools = make_pools(len(train), settings.batch_size, self._num_shards, starts_at_once=epoch == 1)
        order = self._order(train, chance.generator(Purpose.ORDER, epoch))
        stream = self._examples.for_training(
            [
                Draw(order[place], chance.seed(Purpose.CLIP, epoch, place))
                for pool in pools[self.place.pool :]
                for shard in mine
                for place in pool.places(shard)
            ]
        )
        for number, pool in enumerate(pools[self.place.pool :], start=self.place.pool):
            with spent.waiting():
                read = {shard: list(islice(stream, len(pool.places(shard)))) for shard in mine}
            if self._stand_in is None:
                first = next(
                    (example for examples in read.values() for example in examples if example is not None), None
                )
                self._stand_in = next((example for example in team.gather(first) if example is not None), None)
            dealt = {
                shard: pool.batches(
                    [example for example in examples if example is not None],
                    chance.generator(Purpose.TIES, epoch, number, shard),
                    chance.generator(Purpose.BATCHES, epoch, number),
                )
                for shard, examples in read.items()
            }
            num_clips_K = team.sum(
                [sum(len(batches[k]) for batches in dealt.values()) for k in range(pool.num_batches)]
            )
            for k in range(self.place.batch, pool.num_batches):
                for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                    group["lr"] = rate * factor((epoch - 1) * steps_per_epoch + self.place.step)
                num_clips = int(num_clips_K[k])
                own_batches = {shard: batches[k] for shard, batches in dealt.items()}
                total_loss, num_right = self._step(own_batches, num_clips, loss, chance)
                self.place = replace(
                    self.place,
                    batch=k + 1,
                    step=self.place.step + 1,
                    num_steps=self.place.num_steps + 1,
                    total_loss=self.place.total_loss + total_loss,
                    num_right=self.place.num_right + num_right,
                    num_clips=self.place.num_clips + num_clips,
                )
                spent.num_clips += num_clips
                self.after_step(self.place, spent)
            self.place = replace(self.place, pool=number + 1, batch=0)
        if self.place.num_clips == 0:
            raise DatasetInvalidError(
                f"not one of the {len(train)} clips to train on could be read", hint="see the lines above"
            )
        return spent

    def _order(self, train: Sequence[LabelledClip], rng: np.random.Generator) -> list[LabelledClip]:
        if self._settings.class_balance == "sampling":
            return [train[i] for i in balanced_order([clip.label for clip in train], rng)]
        return [train[i] for i in rng.permutation(len(train))]

    def _truth(self, labels: Sequence[str]) -> Tensor:
        """``B×C`` float, 1 where a clip is of a class or has a label, else 0."""
        return torch.from_numpy(truth_matrix(self._targets(labels), len(self._position))).float()

    def _step(
        self, batches: Mapping[int, Sequence[Example]], num_clips: int, loss_of: Loss, chance: Chance
    ) -> tuple[float, int]:
        """One step on the batches of all shards: by the gradient of the mean loss over all their clips.

        Args:
            batches: of this process, by shard.
            num_clips: of all processes; where there is none, nothing is done.
            loss_of: gives the mean of a batch.
            chance: of this training.

        Returns:
            the sum of the clips' losses and how many of them were right, of all processes.
        """
        if num_clips == 0:
            return 0.0, 0
        own_loss = 0.0
        right: list[Tensor] = []
        self._optimizer.zero_grad(set_to_none=True)
        # a process with nothing to learn from still takes part in the averaging
        filled = [shard for shard, batch in batches.items() if batch] or [min(batches)]
        stand_in = self._stand_in
        assert stand_in is not None  # some process has a clip
        for start in range(0, len(filled), self._num_in_flight):
            flight = filled[start : start + self._num_in_flight]
            losses: list[Tensor] = []
            for shard in flight:
                with self._fabric.no_backward_sync(self._module, enabled=shard != filled[-1]):
                    mean_loss, is_right_B = self._batch_loss(batches[shard] or [stand_in], shard, loss_of, chance)
                losses.append(mean_loss * len(batches[shard]))
                right.append(is_right_B[: len(batches[shard])])
            for shard, loss in zip(flight, losses, strict=True):
                with self._fabric.no_backward_sync(self._module, enabled=shard != filled[-1]):
                    # the averaging divides by the number of processes; what is wanted is the mean over clips
                    self._fabric.backward(loss * self._team.size / num_clips)
            own_loss += sum(float(loss.detach()) for loss in losses)  # last: reading a number waits for the device
        self._fabric.clip_gradients(
            self._module,
            self._optimizer,
            max_norm=self._settings.gradient_clip_norm,
            error_if_nonfinite=False,  # `epochs` says it better
        )
        self._optimizer.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._classifier)
        total_loss, num_right = self._team.sum([own_loss, sum(int(is_right_B.sum()) for is_right_B in right)])
        return float(total_loss), int(num_right)

    def _batch_loss(self, batch: Sequence[Example], shard: int, loss_of: Loss, chance: Chance) -> tuple[Tensor, Tensor]:
        """The mean loss of the batch, and which of its clips are right."""
        steps, num_steps = pad_sequences([example.steps for example in batch])
        truth_BC = self._truth([example.label for example in batch])
        rng = chance.generator(Purpose.MIXING, self.place.num_steps, shard)
        steps, truth_BC = mix_clips(steps, num_steps, truth_BC, self._augment, rng)
        steps, num_steps = self._fabric.to_device((steps, num_steps))
        torch.manual_seed(chance.torch_seed(Purpose.NETWORK, self.place.num_steps, shard))
        logits_BC = self._forward(steps, num_steps)
        truth_BC = truth_BC.to(logits_BC.device, non_blocking=True)
        best_B1 = logits_BC.detach().argmax(dim=1, keepdim=True)
        is_right_B1 = truth_BC.gather(1, best_B1) == truth_BC.amax(dim=1, keepdim=True)
        return loss_of(logits_BC, truth_BC), is_right_B1[:, 0]

    def _score(self, clips: Sequence[LabelledClip]) -> tuple[float, float]:
        said = self.logits(clips)
        if not said.clips:
            raise DatasetInvalidError(
                f"not one of the {len(clips)} clips to validate on could be read", hint="see the lines above"
            )
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


def warmup_cosine(num_warmup_steps: float, num_steps: int) -> Callable[[int], float]:
    """The learning rate's factor at each step: a line up to 1, then half a cosine down to 0. (Loshchilov 2017)"""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / (num_warmup_steps + 1)
        progress = (step - num_warmup_steps) / max(1.0, num_steps - num_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor
