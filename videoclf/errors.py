"""Every exception that videoclf raises for what a user, a file or a machine did.

    VideoclfError                   the root: the command line prints it as one line and goes on or exits
    ├── MediaError                  a source gives no frames
    │   ├── SourceMissing           no file, or nothing to classify, where the path points
    │   ├── SourceRefused           the gate: not a regular file of a known video container, or over a limit
    │   ├── NoVideoStream           a media file, but without pictures
    │   └── DecodeFailed            a video, but too damaged (or of a codec unknown here) to give a frame
    ├── RecipeInvalid               a recipe with a key, value or combination that is not allowed
    ├── ModelFileInvalid            a model file that is cut short, foreign, newer, or hostile
    ├── WeightsUnavailable          pretrained weights that cannot be had: no network, no such file, other shapes
    ├── DatasetInvalid              a folder, list or split that cannot be trained or evaluated on
    │   └── SplitLeaks              a split with a group, or a clip and its copy, on two sides
    ├── TrainingDiverged            the loss is no longer a number
    ├── UsageInvalid                an argument that means nothing, such as an unknown split
    ├── ResultsInvalid              a folder whose figures are missing, cut short, foreign or newer
    ├── RunFolderUnusable           an output folder that holds another run or cannot be written
    ├── MemoryExhausted             a network, or its batches, too large for the device
    ├── ProcessLost                 one of several training processes that was killed
    ├── EngineUnavailable           an engine that is not installed, too old, or cannot run the model
    └── DeviceUnavailable           a device, or a library of the system, that this machine lacks

A message is one line: it names the file or value, the cause, and what to try.
"""

from __future__ import annotations

from unicodedata import category


class VideoclfError(Exception):
    """The root of what videoclf raises; its text is one line meant for people."""


class MediaError(VideoclfError):
    """A source gives no frames."""


class SourceMissing(MediaError):
    """No file, or nothing to classify, where the path points."""


class SourceRefused(MediaError):
    """The gate refused a source: not a regular file of a known video container, or over a limit."""


class NoVideoStream(MediaError):
    """A media file without a video stream."""


class DecodeFailed(MediaError):
    """A video too damaged, or of a codec unknown here, to give a frame."""


class UsageInvalid(VideoclfError):
    """An argument that means nothing, such as an unknown split."""


class RecipeInvalid(VideoclfError):
    """A recipe with a key, value or combination that is not allowed."""


class ModelFileInvalid(VideoclfError):
    """A model file that is cut short, foreign, newer than this version, or hostile."""


class WeightsUnavailable(VideoclfError):
    """Pretrained weights that cannot be had, or that do not fit the network."""


class DatasetInvalid(VideoclfError):
    """A folder, list or split that cannot be trained or evaluated on."""


class SplitLeaks(DatasetInvalid):
    """A split with a group, or a clip and its copy, on two sides."""


class TrainingDiverged(VideoclfError):
    """The loss of a training run is no longer a number."""


class ResultsInvalid(VideoclfError):
    """A folder whose figures are missing, cut short, foreign, or newer than this version."""


class RunFolderUnusable(VideoclfError):
    """An output that is there already, that another training holds, or that cannot be written."""


class MemoryExhausted(VideoclfError):
    """A network, or its batches, too large for the device."""


class ProcessLost(VideoclfError):
    """One of several training processes that was killed."""


class EngineUnavailable(VideoclfError):
    """An engine that is not installed, too old, or cannot run the model."""


class DeviceUnavailable(VideoclfError):
    """A device, or a library of the system, that this machine lacks."""


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
