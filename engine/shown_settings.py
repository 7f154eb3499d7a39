"""The settings in effect, for people who may know how Bursar is set up: no secret is in what they see. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from engine.addresses import masked_address
from engine.settings import Settings

HIDDEN = "set, hidden"


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting by the name of its variable; `is_usual` when nobody has set it."""

    name: str
    value: str
    is_usual: bool


def shown_settings(settings: Settings) -> list[ShownSetting]:
    """All settings in the order of their definition."""
    return [
        ShownSetting(
            f"BURSAR_{name.upper()}",
            shown_value(getattr(settings, name)),
            name not in settings.model_fields_set,
        )
        for name in type(settings).model_fields
    ]


def shown_value(value: object) -> str:
    """A value without what is secret in it: of an address neither password nor options."""
    match value:
        case None:
            return "not set"
        case SecretStr():
            return HIDDEN
        case bool():
            return "yes" if value else "no"
        case str() if "://" in value:
            return masked_address(value)
        case _:
            return str(value)
