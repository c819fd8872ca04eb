"""The recipe: the one description of a model, from sampling to training, checked.

Every field is bounded, because recipes also arrive inside model files written by strangers: nothing may be allocated
or looped over by a number that was not checked here.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from videoclf.recipe.backbone_names import TEMPORALLY_SHIFTED, TORCHVISION_2D, TORCHVISION_3D, backbone_facts

_Mean = Annotated[float, Field(ge=-100, le=100)]
_Deviation = Annotated[float, Field(ge=1e-3, le=1000)]

_MAX_WINDOW_PIXELS = 2**27
"""Of all frames and views of a window: 1.6 GB as float32. The largest shipped recipe asks for a fortieth."""


_WITHOUT_STAGES = frozenset({"timm", "custom"})
"""Sources of networks whose order of layers is not known here."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sampling(_Section):
    """Which moments of a clip are looked at.

    Moments lie ``1 / fps`` seconds apart, from the first frame to the end: a 3.52 s clip at 8 fps gives 29 of them.
    """

    fps: float = Field(8.0, gt=0, le=240)
    """Moments a second."""

    max_frames: int = Field(64, ge=1, le=1024)
    """Moments in one pass of the network. A clip with more is cut into windows of equal length (70 moments with 64
    allowed: 35 and 35), whose probabilities are averaged; training takes one window at random."""

    order: Literal["time", "shuffled"] = "time"
    """``shuffled`` puts a clip's frames in a random (but fixed) order: the control that shows whether time matters."""


class Preprocess(_Section):
    """From decoded frames (uint8 RGB, any size) to the network's input (float32, ``3×height×width``)."""

    fit: Literal["stretch", "crop"] = "crop"
    """``stretch``: the whole frame is resized to height×width, its aspect not kept, nothing cut off.
    ``crop``: the frame is resized until it just covers height×width times ``crop_margin``; the centre is cut out."""

    height: int = Field(224, ge=16, le=1024)
    """Rows of the network's input, in pixels."""

    width: int = Field(224, ge=16, le=1024)
    """Columns of the network's input, in pixels."""

    crop_margin: float = Field(1.0, ge=1, le=4)
    """``crop`` only: how much larger than height×width the frame is before the centre is cut out (1.143: 256 → 224)."""

    channels: tuple[Literal["rgb", "moments", "difference"], ...] = Field(("rgb",), min_length=1, max_length=3)
    """What the network is shown of each frame, three channels at a time; a 2D network sees motion as colour.
    ``moments``: the grey images of the sampled frame before, of the frame itself and of the one after.
    ``difference``: half the difference between the frame after and the one before, in RGB, around middle grey.
    (At a clip's ends the frame itself stands in for a neighbour.) With several, the backbone runs once for each, and
    the features are concatenated."""

    mean: tuple[_Mean, _Mean, _Mean] = (0.485, 0.456, 0.406)
    """Subtracted from each channel, on the scale where white is 1 (the default is ImageNet's)."""

    std: tuple[_Deviation, _Deviation, _Deviation] = (0.229, 0.224, 0.225)
    """Divides each channel after that."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels names one twice: {list(self.channels)}")
        return self


class Backbone(_Section):
    """The network that turns frames into feature vectors: each by itself (2D), or all of a clip together (3D)."""

    name: str = Field("mobilenet_v2", max_length=200)
    """2D: torchvision's ResNet, MobileNet, EfficientNet, ConvNeXt and RegNet families (``resnet50``,
    ``efficientnet_b0``, ...), ``timm:NAME`` (with the extra ``timm``), or ``tiny``: four convolutions, trained from
    nothing. 3D: ``r3d_18``, ``mc3_18``, ``r2plus1d_18``, ``s3d``, or ``inflated:NAME`` of a 2D name, its kernels
    reaching over three frames. ``custom``: a module that is passed in from Python."""

    temporal_stride: Literal[1, 2, 4, 8] = 1
    """3D only: frames per step of the feature sequence; T frames give ⌈T / temporal_stride⌉ steps. r3d_18, r2plus1d_18
    and s3d have 8 of their own, which leaves the GRU two steps of sixteen frames; below that, late strides are removed,
    and later kernels dilated instead."""

    temporal_shift: bool = False
    """True, for ResNets and ``mobilenet_v2``: inside each residual branch an eighth of the channels comes from the
    frame before, an eighth from the frame after (TSM, Lin et al. 2019). Costs next to nothing; 2D weights fit."""

    weights: str = Field("none", max_length=4096)
    """Where training starts: ``none`` (random), ``imagenet`` (torchvision's or timm's; downloaded once; inflated for an
    ``inflated:`` name), ``kinetics400`` (torchvision's, for its 3D names; downloaded once), a shipped model's name (its
    backbone; nothing is downloaded), or a ``.safetensors`` file. A model file carries its own and ignores this."""

    frozen: bool = False
    """True: the backbone is never trained. Features are then computed once, and kept, instead of once an epoch."""

    tap_below: int | None = Field(None, ge=1, le=100)
    """2D only, of torchvision's names: beside the top's features stand those of the stage with so many above it (5 of
    MobileNetV2's nineteen: its thirteenth block). Unset: the top's alone."""

    tap_grid: int = Field(3, ge=1, le=8)
    """Cells a side of the grid over which the tapped stage's maps are averaged: where in the picture, coarsely."""

    unfrozen_stages: int | None = Field(None, ge=1, le=100)
    """Only so many stages of the backbone are trained, counted from its top; the others, their batch norms too, stay as
    they are. Unset: all are trained. (ResNets have five, the stem included, MobileNetV2 nineteen; see
    docs/recipes.md.)"""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        backbone_facts(name)
        return name

    @model_validator(mode="after")
    def _weights_stride_and_stages_can_be_had(self) -> Self:
        facts = backbone_facts(self.name)
        if facts.kind != "custom" and self.temporal_stride > facts.own_temporal_stride:
            raise ValueError(
                f"temporal_stride = {self.temporal_stride}: {self.name} has {facts.own_temporal_stride} at most"
            )
        if self.temporal_shift and not (facts.source == "torchvision" and facts.network in TEMPORALLY_SHIFTED):
            raise ValueError(
                f"temporal_shift = true: {self.name} cannot be shifted; mobilenet_v2, and resnet, resnext and "
                "wide_resnet names can"
            )
        if self.unfrozen_stages is not None and facts.source in _WITHOUT_STAGES:
            raise ValueError(
                f"unfrozen_stages = {self.unfrozen_stages}: {self.name} has no stages known here; unset it"
            )
        if self.tap_below is not None and (facts.kind != "2d" or facts.source in _WITHOUT_STAGES):
            raise ValueError(f"tap_below = {self.tap_below}: {self.name} has no 2D stages known here; unset it")
        if self.tap_below is not None and self.temporal_shift:
            raise ValueError(f"tap_below = {self.tap_below} and temporal_shift = true exclude each other; unset one")
        if self.unfrozen_stages is not None and self.frozen:
            raise ValueError(
                f"frozen = true and unfrozen_stages = {self.unfrozen_stages} exclude each other; unset one"
            )
        if self.weights == "kinetics400" and self.name not in TORCHVISION_3D:
            raise ValueError(
                f"weights = 'kinetics400': there are none for {self.name}, only for {', '.join(TORCHVISION_3D)}"
            )
        if self.weights == "imagenet" and (facts.network not in TORCHVISION_2D and facts.source != "timm"):
            others = "none, kinetics400 or a file" if self.name in TORCHVISION_3D else "none or a file"
            raise ValueError(f"weights = 'imagenet': there are none for {self.name}; use {others}")
        return self


class Temporal(_Section):
    """The network that turns a sequence of feature vectors into one vector."""

    kind: Literal["gru", "mean"] = "gru"
    """``mean`` is the baseline: the same projection, no GRU, features averaged over time (order cannot matter)."""

    projection_size: int = Field(128, ge=0, le=4096)
    """Features a step after the projection that stands before the GRU; 0: none, features go in as they are."""

    input_norm: Literal["layer", "standardise"] = "layer"
    """What stands before the projection: ``layer``, a layer norm (each step's features on one scale), or
    ``standardise`` (each feature on the scale that it has over the training clips, found before training starts)."""

    hidden_size: int = Field(128, ge=1, le=4096)
    """GRU units, per direction."""

    num_layers: int = Field(1, ge=1, le=8)
    """GRU layers."""

    bidirectional: bool = False
    """True: a second GRU reads the clip from its end."""

    pooling: Literal["last", "mean", "attention"] = "mean"
    """From the GRU's steps to one vector: the state after the last step (of each direction), the mean over all steps,
    or a learned weighting of the steps."""

    statistics: bool = False
    """True: beside what the pooling gives, the head sees the mean, the deviation and the mean absolute change of the
    projected features over the clip's steps, past the GRU. (Not with ``mean``, which is to see no order at all.)"""

    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of features zeroed in training, after the projection and before the head."""


class Augment(_Section):
    """How training varies its clips; every default changes nothing. Validation and prediction see clips as they are.

    Pictures are varied before the recipe's ``channels`` are made of them, all frames of a clip alike: motion stays what
    it was. (``training.horizontal_flip`` and ``training.min_crop_share`` vary clips too.)
    """

    crop_scale_min: float = Field(1.0, gt=0, le=1)
    """A random part of the picture, of at least this share of its area and 3:4 to 4:3 of its aspect, is enlarged to the
    whole (Szegedy et al. 2015); 1 turns it off."""

    brightness: float = Field(0.0, ge=0, le=1)
    """Colours are multiplied by up to so much more or less than 1: 0.4 means 0.6 to 1.4."""

    contrast: float = Field(0.0, ge=0, le=1)
    """The same for the distance of each colour from the frame's mean grey."""

    saturation: float = Field(0.0, ge=0, le=1)
    """The same for its distance from its own grey."""

    hue: float = Field(0.0, ge=0, le=0.5)
    """Hues are turned by up to this share of the colour circle, either way."""

    rand_augment_ops: int = Field(0, ge=0, le=10)
    """Operations of RandAugment (Cubuk et al. 2020) that a clip goes through, one after the other; 0 turns it off."""

    rand_augment_magnitude: int = Field(9, ge=0, le=30)
    """How strong these are, of 30."""

    erasing_probability: float = Field(0.0, ge=0, le=1)
    """How often a rectangle of 2 to 33 % of the picture is painted grey (Zhong et al. 2020)."""

    speed: float = Field(0.0, ge=0, le=3)
    """The clip is played up to so much faster or slower: 0.25 means 0.8 to 1.25 times as fast."""

    stored_views: int = Field(4, ge=1, le=64)
    """Behind a frozen backbone, whose features are computed once: how many versions with varied pictures are kept of
    every clip, beside the clip as it is; each costs as much time and space again."""

    temporal_jitter: float = Field(0.0, ge=0, le=1)
    """Each moment is moved by up to this share of half a step, either way; at 1 it may come half-way to its neighbour.
    Features that were computed once cannot move: with half this probability one is replaced by a neighbour's."""

    mixup_alpha: float = Field(0.0, ge=0, le=100)
    """Each clip is mixed with another of its batch, λ to 1 - λ with λ from Beta(alpha, alpha), and so are their labels
    (Zhang et al. 2018); 0 turns it off. The other clip is stretched to the length of the first."""

    cutmix_alpha: float = Field(0.0, ge=0, le=100)
    """A rectangle of all frames (of features: a run of steps), 1 - λ of the whole, is replaced by another clip's, and
    labels are mixed by what is left (Yun et al. 2019); 0 turns it off. With both, each batch gets one of the two."""

    @property
    def varies_pictures(self) -> bool:
        """Whether a clip's frames change, before it meets others."""
        changes = (self.brightness, self.contrast, self.saturation, self.hue, self.rand_augment_ops)
        return self.crop_scale_min < 1 or any(changes) or self.erasing_probability > 0

    @property
    def of_pictures(self) -> Augment:
        """All that does not change a clip's frames at its default: equal where pictures are varied alike."""
        return Augment.model_validate(self.model_dump(include=_PICTURE_KEYS))

    @property
    def mixes_clips(self) -> bool:
        """Whether the clips of a batch are mixed."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    @property
    def varies_time(self) -> bool:
        """Whether the moments change that a clip is looked at."""
        return self.speed > 0 or self.temporal_jitter > 0


_PICTURE_KEYS = {
    "crop_scale_min", "brightness", "contrast", "saturation", "hue", "rand_augment_ops", "rand_augment_magnitude",
    "erasing_probability",
}  # fmt: skip

Objective = Literal["softmax", "sigmoid"]
"""Whether a clip shows one of the classes, or any number of them."""


class Training(_Section):
    """How weights are found."""

    objective: Objective = "softmax"
    """``softmax``: a clip is of one class; scores add up to 1. ``sigmoid``: a clip may have several labels (in a list
    ``walk|talk``), each learnt and scored by itself, from 0 to 1."""

    epochs: int = Field(30, ge=1, le=10_000)
    """Passes over the training clips, at most."""

    patience: int = Field(10, ge=1, le=10_000)
    """Epochs without a better validation result (lower loss) after which training stops."""

    keep: Literal["best", "last"] = "best"
    """Which weights are kept: of the epoch with the best validation, or of the last (then there is no early end, and
    validation chooses temperature and threshold only: better where it has a dozen clips)."""

    refit: bool = False
    """True: once validation has chosen epoch, temperature and threshold, the network is trained again from the start,
    to that epoch, on training and validation clips together."""

    batch_size: int = Field(8, ge=1, le=4096)
    """Clips a batch, on each device."""

    accumulate: int = Field(1, ge=1, le=1024)
    """Batches, on each device, whose gradients make one step: as if a batch were so much larger, in less memory."""

    learning_rate: float = Field(1e-3, gt=0, le=10)
    """Peak of the schedule: linear warm-up, then a cosine down to zero. (AdamW)"""

    backbone_learning_rate: float | None = Field(None, gt=0, le=10)
    """Peak for the backbone where it is trained; unset: ``learning_rate``."""

    layer_decay: float = Field(1.0, gt=0, le=1)
    """The k-th stage of the backbone from its top learns at its rate times this to the power of k: 0.7 gives 1, 0.7,
    0.49, ... Lower layers, which are more general, move less (Clark et al. 2020). 1: all alike."""

    warmup_epochs: float = Field(1.0, ge=0, le=1000)
    """Length of the warm-up."""

    weight_decay: float = Field(1e-2, ge=0, le=10)
    """Decoupled weight decay (AdamW); not applied to biases and norms."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread over all classes."""

    gradient_clip_norm: float = Field(1.0, gt=0, le=1e6)
    """Longest gradient (L2, all parameters together)."""

    horizontal_flip: bool = False
    """True: a clip is mirrored with probability one half, all its frames alike. Leave false where left is not right."""

    min_crop_share: float = Field(1.0, gt=0, le=1)
    """Training sees a random contiguous part of a clip, at least this share of its steps; 1 turns it off."""

    class_balance: Literal["none", "loss", "sampling"] = "none"
    """For classes of unlike numbers of clips. ``loss``: a clip weighs the more, the fewer its class has (mean 1).
    ``sampling``: an epoch has as many clips as ever, but as many of each class: some come twice, others wait."""

    weight_average: float = Field(0.0, ge=0, lt=1)
    """A running mean of the weights is validated and kept instead of the last step's: after each step so much of the
    mean stays (0.999; fewer in the first steps: (1 + n) / (10 + n) after n). 0 turns it off."""

    seed: int = Field(0, ge=0, lt=2**32)
    """Of initial weights, order, dropout and augmentation."""


class Testing(_Section):
    """What is looked at when a clip is judged, in validation, evaluation and prediction alike, beside the windows that
    ``sampling.max_frames`` cuts a long clip into."""

    horizontal_flip: bool = False
    """True: every window is looked at mirrored too, and the logits are averaged. Takes twice the time."""


class Recipe(_Section):
    """The one description of a model. Construct it, or read it with `load_recipe`."""

    description: str = Field("", max_length=2000)
    """One sentence for ``videoclf models``."""

    sampling: Sampling = Sampling()
    preprocess: Preprocess = Preprocess()
    backbone: Backbone = Backbone()
    temporal: Temporal = Temporal()
    augment: Augment = Augment()
    training: Training = Training()
    testing: Testing = Testing()

    @model_validator(mode="after")
    def _window_fits_in_memory(self) -> Self:
        spec = self.preprocess
        num_pixels = self.sampling.max_frames * spec.height * spec.width * len(spec.channels)
        if num_pixels > _MAX_WINDOW_PIXELS:
            raise ValueError(
                f"sampling.max_frames × preprocess.height × preprocess.width × channels is {num_pixels:,}, more than "
                f"the {_MAX_WINDOW_PIXELS:,} allowed"
            )
        return self

    @model_validator(mode="after")
    def _stages_are_known(self) -> Self:
        if self.training.layer_decay < 1 and backbone_facts(self.backbone.name).source in _WITHOUT_STAGES:
            raise ValueError(
                f"training.layer_decay = {self.training.layer_decay:g}: {self.backbone.name} has no stages known here; "
                "set it to 1"
            )
        return self

    @property
    def lookahead_steps(self) -> int:
        """How many later frames a step's input needs: 1 where the channels show motion, else 0."""
        return 0 if self.preprocess.channels == ("rgb",) else 1

    @property
    def causal(self) -> bool:
        """Whether a step's state depends only on frames up to its look-ahead: frames one by one, in time order, and one
        direction. (3D kernels and shifts reach both ways; what a custom backbone does is not known.)"""
        frame_by_frame = backbone_facts(self.backbone.name).kind == "2d" and not self.backbone.temporal_shift
        one_direction = self.temporal.kind == "mean" or not self.temporal.bidirectional
        return frame_by_frame and one_direction and self.sampling.order == "time"
