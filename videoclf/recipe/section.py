"""The base of a recipe's sections: they are validated and frozen, and also read keys under their old names."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A section of a recipe. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    FIRST_NAMES: ClassVar[dict[str, str]] = {}
    """Old names of keys, which are still read, and their present names. Each field with an old name has it as
    ``serialization_alias`` too: see `to_hashed_json`."""

    @model_validator(mode="before")
    @classmethod
    def _under_todays_names(cls, values: Any) -> Any:
        return cls.with_todays_names(values) if isinstance(values, dict) else values

    @classmethod
    def with_todays_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The same values, with keys of older versions under their present names.

        Raises:
            ValueError: a key is given under both names.
        """
        for first, now in cls.FIRST_NAMES.items():
            if first in values and now in values:
                raise ValueError(f"{now} is given twice, also under its first name, {first}; remove one")
        return {cls.FIRST_NAMES.get(key, key): value for key, value in values.items()}

    def __getattr__(self, name: str) -> Any:
        if name in type(self).FIRST_NAMES:
            return getattr(self, type(self).FIRST_NAMES[name])
        return super().__getattr__(name)  # type: ignore[misc]

    def to_hashed_json(self, *, exclude: set[str] | None = None) -> str:
        """JSON with keys and values under their old names, for hashes: renaming a key must not invalidate a cache or an
        unfinished cross-validation."""
        return self.model_dump_json(by_alias=True, exclude=exclude)
