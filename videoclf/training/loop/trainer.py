"""The training loop: trains on batches, and chooses the best epoch by validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from videoclf.data.batching import make_pools
from videoclf.data.dataset import LabelledClip, names_in
from videoclf.epoch_record import EpochRecord
from videoclf.errors import DatasetInvalidError, TrainingDivergedError
from videoclf.evaluation.calibration import choose_ridge_share
from videoclf.evaluation.likelihood import Targets, truth_matrix
from videoclf.inference.engines.protocol import Float32Array
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.heads.ridge_layer import RidgeLayer
from videoclf.modeling.padding import pad_sequences
from videoclf.modeling.temporal.gru import Standardise
from videoclf.recipe.augment import Augment
from videoclf.recipe.training import Training
from videoclf.training.examples.class_balance import balanced_order
from videoclf.training.examples.decoded import Draw, Example, Examples, Views
from videoclf.training.examples.mixing import mix_clips
from videoclf.training.loop.clip_logits import ClipLogits
from videoclf.training.loop.collectives import ProcessGroup, SingleProcess
from videoclf.training.loop.feature_statistics import FeatureMoments
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.loop.loss import Loss
from videoclf.training.loop.parameter_groups import parameter_groups
from videoclf.training.loop.position import AfterStep, Position, Spent
from videoclf.training.loop.rng import Purpose, RandomSource
from videoclf.training.loop.schedule import warmup_cosine
from videoclf.training.loop.weight_average import averaged_weights

Forward = Callable[[Tensor, Tensor], Tensor]
"""From padded steps ``B×T×...`` and lengths ``B`` to logits ``B×C``."""


class Trainer:
    """Trains a classifier, in one process or in several, each with its own device.

    All random numbers are drawn by position (`videoclf.training.loop.rng`): a step depends only on the weights and on
    `position`.

    Args:
        fabric: device and precision.
        classifier: already on its device, the fabric's, or its parts on several; its trainable parameters are those
            that require gradients.
        examples: frames for the whole network, or features for the parts after a frozen backbone.
        labels: class names in the order of the logits.
        settings: the recipe's section.
        on_features: whether the examples are features.
        augment: the recipe's section; here it says how the clips of a batch are mixed.
        process_group: the processes that train the same network. Each has its own batches; gradients are averaged over
            all clips of a step in all processes.
        num_in_flight: number of a step's batches (``training.accumulate``) whose forward passes start before the first
            backward pass. With as many devices, each with a part of the network, this keeps all of them busy, and none
            needs more memory for activations than one device would for one batch.
        probe: fits the ridge of the network's head, if it has one.

    Attributes:
        scored: the network that validation scores and that is kept: the classifier or, if the settings say so, the
            mean of its weights.
        position: its position in the training.
        after_step: called after every step, when `state` is complete.
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
        process_group: ProcessGroup = SingleProcess(),  # noqa: B008  (holds nothing)
        num_in_flight: int = 1,
        probe: LinearProbe | None = None,
    ) -> None:
        self._process_group = process_group
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
        self._probe = probe
        self._stand_in: Example | None = None  # the first that any process read; all of them have it, or none
        self.position = Position()
        self._is_prepared = False
        self._best_epoch, self._best_loss = 0, math.inf

    def epochs(
        self, train: Sequence[LabelledClip], validation: Sequence[LabelledClip], *, is_watched: bool = True
    ) -> Iterator[tuple[EpochRecord, bool]]:
        """Train until the last epoch, or until validation has not improved for ``patience`` epochs.

        Args:
            train: the clips to train on.
            validation: the clips to score.
            is_watched: False: the records of epochs are not needed. If the last epoch's weights are kept in any case,
                earlier epochs are then not validated. The weights are the same; unreadable clips are reported later.

        Yields:
            After each validated epoch its record, and whether its weights should be kept: those of the best epoch
            so far or, if the settings say so, of the last. `scored` then contains them.

        Raises:
            DatasetInvalidError: no clip to train on, or none to validate on, could be read.
            TrainingDivergedError: the loss is no longer a number.
        """
        settings = self._settings
        random_source = RandomSource(settings.seed, stage=0)
        self.prepare(train)
        while self.position.epoch <= settings.epochs and self.position.epoch - 1 - self._best_epoch < settings.patience:
            started = time.perf_counter()
            epoch = self.position.epoch
            spent = self._train_epoch(train, random_source)
            trained, speed, waiting = self.position, spent.clips_per_second, spent.waiting_share
            if not is_watched and settings.checkpoint_choice == "last" and epoch < settings.epochs:
                self._check(epoch, trained.mean_loss)
                self._best_epoch = epoch
                self.position = Position(epoch=epoch + 1, num_steps=self.position.num_steps)
                continue
            validation_loss, top1 = self._score(validation)
            self._check(epoch, trained.mean_loss, validation_loss)
            is_kept = validation_loss < self._best_loss or settings.checkpoint_choice == "last"
            if is_kept:
                self._best_epoch, self._best_loss = epoch, validation_loss
            self.position = Position(epoch=epoch + 1, num_steps=self.position.num_steps)
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
        """Train for this many epochs of the recipe's schedule, without validation.

        Raises:
            DatasetInvalidError: no clip could be read.
            TrainingDivergedError: the loss is no longer a number.
        """
        random_source = RandomSource(self._settings.seed, stage=1)
        self.prepare(clips)
        while self.position.epoch <= num_epochs:
            epoch = self.position.epoch
            self._train_epoch(clips, random_source)
            self._check(epoch, self.position.mean_loss)
            self.position = Position(epoch=epoch + 1, num_steps=self.position.num_steps)

    def state(self) -> dict[str, Any]:
        """Its position and what it has learned, as tensors (not copies) and primitives; see `restore_state`."""
        return {
            "place": asdict(self.position),
            "num_shards": self._num_shards,
            "best": (self._best_epoch, self._best_loss),
            "optimizer": self._optimizer.state_dict(),
            "classifier": self._learnt(self._classifier.state_dict()),
            "averaged": None if self._averaged is None else self._learnt(self._averaged.state_dict()),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Continue from the `state` of a trainer with the same arguments: the resulting weights are the same to the
        bit.

        With another number of processes, steps are divided differently, so the current epoch starts again.
        """
        self.position = Position(**state["place"])
        if state["num_shards"] != self._num_shards:
            self.position = Position(epoch=self.position.epoch, num_steps=self.position.num_steps)
        self._best_epoch, self._best_loss = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._classifier.load_state_dict(state["classifier"], strict=False)  # all that `_learnt` leaves out is frozen
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"], strict=False)

    @property
    def _num_shards(self) -> int:
        """Batches a step, of all processes."""
        return self._process_group.size * self._settings.accumulate

    def _learnt(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Without those of a frozen backbone."""
        parts = {name: name.removeprefix("module.").split(".")[0] for name in weights}
        return {name: weights[name] for name in weights if not (self._on_features and parts[name] == "backbone")}

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights of `scored`, without those of a frozen backbone."""
        return {name: tensor.detach().clone() for name, tensor in self._learnt(self.scored.state_dict()).items()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Restore the result of `weights`."""
        self.scored.load_state_dict(weights, strict=False)

    @torch.inference_mode()
    def logits(self, clips: Sequence[LabelledClip]) -> ClipLogits:
        """Compute the logits of clips without augmentation, one clip at a time; each process computes its share of
        them."""
        self.scored.eval()
        # not through Fabric's module: several processes need not make as many calls as one another here
        forward: Forward = self.scored.classify if self._on_features else self.scored

        def look(views: Views, num_frames: int) -> tuple[Float32Array, int]:
            with self._fabric.autocast():
                logits_VC = forward(*self._fabric.to_device(pad_sequences(views)))
            return logits_VC.float().mean(dim=0).cpu().numpy(), num_frames

        mine = clips[self._process_group.rank :: self._process_group.size]
        shares = self._process_group.gather(dict(self._examples.for_validation(mine, look)))
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

    def prepare(self, clips: Sequence[LabelledClip]) -> None:
        """Compute what does not come from steps: the spread of features, and the ridge of the head. `epochs` and
        `refit` begin with it, unless it was done."""
        if self._is_prepared or self.position != Position():
            return
        self._standardise(clips)
        self._fit_ridge(clips)
        self._is_prepared = True

    @property
    def _ridges(self) -> list[RidgeLayer]:
        return [network.ridge for network in {self._classifier, self.scored} if network.ridge is not None]

    def set_ridge_share(self, share: float) -> None:
        """Set the share of the head's ridge; nothing happens without one."""
        for layer in self._ridges:
            layer.set_share(share)

    def choose_ridge_share(self, clips: Sequence[LabelledClip]) -> float:
        """Set the share of the head's ridge to the most likely one for these clips, and return it.

        Raises:
            ValueError: the head has no ridge.
        """
        if self.scored.ridge is None:
            raise ValueError("the head has no ridge")
        said = []
        for share in (0.0, 1.0):
            self.set_ridge_share(share)
            said.append(self.logits(clips))
        network, ridge = said
        share = choose_ridge_share(
            network.window_logits, ridge.window_logits, network.num_frames, self.targets(network.clips),
            self._settings.objective,
        )  # fmt: skip
        self.set_ridge_share(share)
        return share

    @torch.inference_mode()
    def _fit_ridge(self, clips: Sequence[LabelledClip]) -> None:
        """Fit the ridge of a network's head to the features of the training clips."""
        if not (layers := self._ridges):
            return
        if self._probe is None:
            raise ValueError("a head with a ridge needs a LinearProbe that fits it")
        fitted = self._probe.fit(clips)
        if fitted is None:
            return  # no clip can be read, as the first epoch will say
        for layer in layers:
            layer.set_weights(*map(torch.from_numpy, fitted.ridge.layer_weights()))

    @torch.inference_mode()
    def _standardise(self, clips: Sequence[LabelledClip]) -> None:
        """Tell a network that standardises its features how they are spread over the training clips."""
        layers = [module for module in self._classifier.temporal.modules() if isinstance(module, Standardise)]
        if not layers:
            return
        self._classifier.eval()
        own = FeatureMoments()

        def look(views: Views, _num_frames: int) -> None:
            steps, num_steps = self._fabric.to_device(pad_sequences(views[:1]))
            own.add((steps if self._on_features else self._classifier.encode(steps, num_steps)[0])[0])

        for _ in self._examples.for_validation(clips[self._process_group.rank :: self._process_group.size], look):
            pass
        moments = FeatureMoments.together(self._process_group.gather(own))
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

    def _train_epoch(self, train: Sequence[LabelledClip], random_source: RandomSource) -> Spent:
        """From `position` to the end of its epoch, behind its last pool."""
        spent = Spent()
        settings, epoch = self._settings, self.position.epoch
        process_group = self._process_group
        mine = range(process_group.rank * settings.accumulate, (process_group.rank + 1) * settings.accumulate)
        self._module.train()
        truth_NC = self._truth([clip.label for clip in train])
        loss = Loss(settings, truth_NC, has_soft_targets=self._augment.mixes_clips)
        steps_per_epoch = math.ceil(len(train) / (settings.batch_size * self._num_shards))
        factor = warmup_cosine(settings.warmup_epochs * steps_per_epoch, settings.epochs * steps_per_epoch)
        # the user waits for the first batch of the run, not for that of every epoch
        pools = make_pools(len(train), settings.batch_size, self._num_shards, starts_at_once=epoch == 1)
        order = self._order(train, random_source.generator(Purpose.ORDER, epoch))
        stream = self._examples.for_training(
            [
                Draw(order[position], random_source.seed(Purpose.CLIP, epoch, position))
                for pool in pools[self.position.pool :]
                for shard in mine
                for position in pool.places(shard)
            ]
        )
        for number, pool in enumerate(pools[self.position.pool :], start=self.position.pool):
            with spent.waiting():
                read = {shard: list(islice(stream, len(pool.places(shard)))) for shard in mine}
            if self._stand_in is None:
                first = next(
                    (example for examples in read.values() for example in examples if example is not None), None
                )
                self._stand_in = next((example for example in process_group.gather(first) if example is not None), None)
            dealt = {
                shard: pool.batches(
                    [example for example in examples if example is not None],
                    random_source.generator(Purpose.TIES, epoch, number, shard),
                    random_source.generator(Purpose.BATCHES, epoch, number),
                )
                for shard, examples in read.items()
            }
            num_clips_K = process_group.sum(
                [sum(len(batches[k]) for batches in dealt.values()) for k in range(pool.num_batches)]
            )
            for k in range(self.position.batch, pool.num_batches):
                for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                    group["lr"] = rate * factor((epoch - 1) * steps_per_epoch + self.position.step)
                num_clips = int(num_clips_K[k])
                own_batches = {shard: batches[k] for shard, batches in dealt.items()}
                total_loss, num_right = self._step(own_batches, num_clips, loss, random_source)
                self.position = replace(
                    self.position,
                    batch=k + 1,
                    step=self.position.step + 1,
                    num_steps=self.position.num_steps + 1,
                    total_loss=self.position.total_loss + total_loss,
                    num_right=self.position.num_right + num_right,
                    num_clips=self.position.num_clips + num_clips,
                )
                spent.num_clips += num_clips
                self.after_step(self.position, spent)
            self.position = replace(self.position, pool=number + 1, batch=0)
        if self.position.num_clips == 0:
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
        self, batches: Mapping[int, Sequence[Example]], num_clips: int, loss_of: Loss, random_source: RandomSource
    ) -> tuple[float, int]:
        """One step on the batches of all shards: by the gradient of the mean loss over all their clips.

        Args:
            batches: of this process, by shard.
            num_clips: of all processes; where there is none, nothing is done.
            loss_of: gives the mean of a batch.
            random_source: of this training.

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
                    mean_loss, is_right_B = self._batch_loss(
                        batches[shard] or [stand_in], shard, loss_of, random_source
                    )
                losses.append(mean_loss * len(batches[shard]))
                right.append(is_right_B[: len(batches[shard])])
            for shard, loss in zip(flight, losses, strict=True):
                with self._fabric.no_backward_sync(self._module, enabled=shard != filled[-1]):
                    # the averaging divides by the number of processes; what is wanted is the mean over clips
                    self._fabric.backward(loss * self._process_group.size / num_clips)
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
        total_loss, num_right = self._process_group.sum([own_loss, sum(int(is_right_B.sum()) for is_right_B in right)])
        return float(total_loss), int(num_right)

    def _batch_loss(
        self, batch: Sequence[Example], shard: int, loss_of: Loss, random_source: RandomSource
    ) -> tuple[Tensor, Tensor]:
        """The mean loss of the batch, and which of its clips are right."""
        steps, num_steps = pad_sequences([example.steps for example in batch])
        truth_BC = self._truth([example.label for example in batch])
        rng = random_source.generator(Purpose.MIXING, self.position.num_steps, shard)
        steps, truth_BC = mix_clips(steps, num_steps, truth_BC, self._augment, rng)
        steps, num_steps = self._fabric.to_device((steps, num_steps))
        torch.manual_seed(random_source.torch_seed(Purpose.NETWORK, self.position.num_steps, shard))
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
