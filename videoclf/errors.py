"""Every exception that videoclf raises for what a user, a file or a machine did.

    VideoclfError                   the root: the command line prints it as one line and goes on or exits
    ├── MediaError                  a source gives no frames
    │   ├── SourceMissingError      no file, or nothing to classify, where the path points
    │   ├── SourceRefusedError      the gate: not a regular file of a known video container, or over a limit
    │   ├── NoVideoStreamError      a media file, but without pictures
    │   └── DecodeFailedError       a video, but too damaged (or of a codec unknown here) to give a frame
    ├── RecipeInvalidError          a recipe with a key, value or combination that is not allowed
    ├── ModelFileInvalidError       a model file that is cut short, foreign, newer, or hostile
    ├── WeightsUnavailableError     pretrained weights that cannot be had: no network, no such file, other shapes
    ├── DatasetInvalidError         a folder, list or split that cannot be trained or evaluated on
    │   └── SplitLeaksError         a split with a group, or a clip and its copy, on two sides
    ├── TrainingDivergedError       the loss is no longer a number
    ├── UsageInvalidError           an argument that means nothing, such as an unknown split
    ├── ResultsInvalidError         a folder whose figures are missing, cut short, foreign or newer
    ├── RunFolderUnusableError      an output folder that holds another run or cannot be written
    ├── MemoryExhaustedError        a network, or its batches, too large for the device
    ├── ProcessLostError            one of several training processes that was killed
    ├── EngineUnavailableError      an engine that is not installed, too old, or cannot run the model
    └── DeviceUnavailableError      a device, or a library of the system, that this machine lacks

An exception carries ``source`` (the file or the value), ``reason`` (what is wrong) and ``hint`` (what to try); its text
is the three in one line. The names without the suffix ``Error`` are those of older versions; ``error.type`` in JSON
keeps them.
"""

from __future__ import annotations

from typing import Any
from unicodedata import category


class VideoclfError(Exception):
    """The root of what videoclf raises; its text is one line meant for people.

    Args:
        reason: what is wrong, without a full stop.
        source: the file, option or key that it is about, if there is one.
        hint: what the user can try, if anything.

    >>> str(SourceMissingError("no such file", source="clip.mp4", hint="check the path"))
    'clip.mp4: no such file; check the path'
    """

    def __init__(self, reason: str, *, source: object = None, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = None if source is None else str(source)
        self.hint = hint

    def __str__(self) -> str:
        named = self.reason if self.source is None else f"{self.source}: {self.reason}"
        return f"{named}; {self.hint}" if self.hint else named

    @property
    def type_name(self) -> str:
        """What ``error.type`` in JSON holds: the class's first name, which stays."""
        return _FIRST_NAMES.get(type(self), type(self).__name__)

    def as_another(self, other: type[VideoclfError]) -> VideoclfError:
        """The same source, reason and hint, as an exception of another class."""
        return other(self.reason, source=self.source, hint=self.hint)

    def to_plain(self) -> dict[str, str | None]:
        """As texts, to go to another process; see `error_from_plain`."""
        return {"type": self.type_name, "reason": self.reason, "source": self.source, "hint": self.hint}


class MediaError(VideoclfError):
    """A source gives no frames."""


class SourceMissingError(MediaError):
    """No file, or nothing to classify, where the path points."""


class SourceRefusedError(MediaError):
    """The gate refused a source: it is not a regular file of a known video container, or it is over a limit."""


class NoVideoStreamError(MediaError):
    """A media file without a video stream."""


class DecodeFailedError(MediaError):
    """A video that is too damaged, or of a codec unknown here, to give a frame."""


class UsageInvalidError(VideoclfError):
    """An argument that means nothing, such as an unknown split."""


class RecipeInvalidError(VideoclfError):
    """A recipe with a key, value or combination that is not allowed."""


class ModelFileInvalidError(VideoclfError):
    """A model file that is cut short, foreign, newer than this version, or hostile."""


class WeightsUnavailableError(VideoclfError):
    """Pretrained weights that cannot be loaded, or that do not fit the network."""


class DatasetInvalidError(VideoclfError):
    """A folder, list or split that cannot be trained or evaluated on."""


class SplitLeaksError(DatasetInvalidError):
    """A split with a group, or a clip and its copy, in two of its parts."""


class TrainingDivergedError(VideoclfError):
    """The loss of a training run is no longer a number."""


class ResultsInvalidError(VideoclfError):
    """A folder whose figures are missing, cut short, foreign, or newer than this version."""


class RunFolderUnusableError(VideoclfError):
    """An output that already exists, that another training uses, or that cannot be written."""


class MemoryExhaustedError(VideoclfError):
    """A network, or its batches, too large for the device."""


class ProcessLostError(VideoclfError):
    """One of several training processes was killed."""


class EngineUnavailableError(VideoclfError):
    """An engine that is not installed, is too old, or cannot run the model."""


class DeviceUnavailableError(VideoclfError):
    """A device, or a library of the system, that this machine lacks."""


# The names of older versions, which stay.
SourceMissing = SourceMissingError
SourceRefused = SourceRefusedError
NoVideoStream = NoVideoStreamError
DecodeFailed = DecodeFailedError
UsageInvalid = UsageInvalidError
RecipeInvalid = RecipeInvalidError
ModelFileInvalid = ModelFileInvalidError
WeightsUnavailable = WeightsUnavailableError
DatasetInvalid = DatasetInvalidError
SplitLeaks = SplitLeaksError
TrainingDiverged = TrainingDivergedError
ResultsInvalid = ResultsInvalidError
RunFolderUnusable = RunFolderUnusableError
MemoryExhausted = MemoryExhaustedError
ProcessLost = ProcessLostError
EngineUnavailable = EngineUnavailableError
DeviceUnavailable = DeviceUnavailableError

_CLASSES: dict[str, type[VideoclfError]] = {
    name: found for name, found in globals().items() if isinstance(found, type) and issubclass(found, VideoclfError)
}
_FIRST_NAMES = {found: name for name, found in _CLASSES.items() if name != found.__name__}


def error_class(type_name: str) -> type[VideoclfError]:
    """The class with this name, of now or of older versions.

    Raises:
        KeyError: there is none.
    """
    return _CLASSES[type_name]


def error_from_plain(plain: dict[str, Any]) -> VideoclfError:
    """What `VideoclfError.to_plain` was made of.

    Raises:
        KeyError: it is of no class known here.
    """
    return error_class(plain["type"])(plain["reason"], source=plain["source"], hint=plain["hint"])


UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp", *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"})
"""Unicode categories and characters that no line of output may hold: control characters (a terminal would obey them),
lone surrogates, line and paragraph separators, and what turns the direction of writing."""


def printable(text: str) -> str:
    """Foreign text on one line, without what a terminal would obey or what would turn the direction of writing.

    >>> printable("red\\x1b[31m\\n")
    'red\\\\x1b[31m\\\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c not in UNPRINTABLE and category(c) not in UNPRINTABLE else ascii(c)[1:-1] for c in text)


def one_line(text: object) -> str:
    """The text of a foreign exception on one line, whitespace folded.

    >>> one_line("first\\n  second")
    'first second'
    """
    return " ".join(str(text).split())


def counted(num: int, noun: str) -> str:
    """A number with its noun, in one or several.

    >>> counted(1, "seed"), counted(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"
