"""Commands that take a secret as an argument for what it is: refused, and not repeated as usual errors would."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from engine.errors import InvalidValue


class UnseenCommand(TyperCommand):
    """A command that does not say what is one argument too many, or an unknown option."""

    allow_extra_args = True
    ignore_unknown_options = True

    def invoke(self, ctx: Any) -> Any:
        """Run the command, unless something is left behind its arguments."""
        if ctx.args:
            raise InvalidValue(
                "arguments",
                "there is one too many, or an option that is not known; if it is a secret, make a new one, for the "
                "shell and the list of processes have seen this one: secrets are typed or piped",
            )
        return super().invoke(ctx)


class UnseenGroup(TyperGroup):
    """Commands of which an unknown one is not repeated."""

    ignore_unknown_options = True

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that comes first."""
        if args[0] not in self.commands:
            raise InvalidValue(f"bursar {self.name}", f"is followed by one of {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)
