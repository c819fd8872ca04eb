"""The recipe: the one description of a model, from sampling to training, validated.

Every field is bounded, because recipes are also part of untrusted model files: nothing may be allocated or iterated by
a number that was not checked here.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from videoclf.recipe.augment import Augment
from videoclf.recipe.backbone import Backbone
from videoclf.recipe.backbone_names import WITHOUT_STAGES, backbone_facts
from videoclf.recipe.head import Head
from videoclf.recipe.preprocess import Preprocess
from videoclf.recipe.sampling import Sampling
from videoclf.recipe.section import Section
from videoclf.recipe.temporal import Temporal
from videoclf.recipe.testing import Testing
from videoclf.recipe.training import Training

_MAX_WINDOW_PIXELS = 2**27
"""Of all frames and views of a window: 1.6 GB as float32. The largest shipped recipe asks for a fortieth."""


class Recipe(Section):
    """The one description of a model. Construct it, or read it with `load_recipe`."""

    description: str = Field("", max_length=2000)
    """One sentence for ``videoclf models``."""

    sampling: Sampling = Sampling()
    preprocess: Preprocess = Preprocess()
    backbone: Backbone = Backbone()
    temporal: Temporal = Temporal()
    head: Head = Head()
    augment: Augment = Augment()
    training: Training = Training()
    testing: Testing = Testing()

    def to_hashed_json(self, *, exclude: set[str] | None = None) -> str:
        """See `Section`. Sections that older versions did not have are left out if they change nothing."""
        unused = {"head"} if self.head == Head() else set()
        return super().to_hashed_json(exclude={*(exclude or ()), *unused})

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
        if self.training.layer_decay < 1 and backbone_facts(self.backbone.name).source in WITHOUT_STAGES:
            raise ValueError(
                f"training.layer_decay = {self.training.layer_decay:g}: {self.backbone.name} has no stages known here; "
                "set it to 1"
            )
        return self

    @model_validator(mode="after")
    def _ridge_reads_features_that_stay(self) -> Self:
        if self.head.ridge and not self.backbone.frozen:
            raise ValueError(
                "head.ridge = true requires backbone.frozen = true, because its features must not change; to train the "
                "backbone, set head.ridge to false"
            )
        return self

    @property
    def lookahead_steps(self) -> int:
        """Number of later frames that a step's input needs: 1 if the channels show motion, otherwise 0."""
        return 0 if self.preprocess.channels == ("rgb",) else 1

    @property
    def causal(self) -> bool:
        """Whether a step's state depends only on frames up to its look-ahead: separate frames, in time order, and one
        direction. (3D kernels and shifts reach both ways; a custom backbone is not known.)"""
        frame_by_frame = backbone_facts(self.backbone.name).kind == "2d" and not self.backbone.temporal_shift
        one_direction = self.temporal.kind == "mean" or not self.temporal.bidirectional
        return frame_by_frame and one_direction and self.sampling.order == "time"
