"""Read a file of policy tests."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from engine.document.policy_cases import CasesSpec
from engine.document.problems import find_problems, refusal
from engine.document.text import content_of, text_of
from engine.errors import DocumentError


def read_cases(path: Path) -> CasesSpec:
    """Read and validate the YAML or JSON file at `path`.

    Raises `DocumentError` with one sentence that names the file, the line, the field and what is wrong with it.
    """
    content, lines = content_of(text_of(path), path)
    if not isinstance(content, dict):
        raise DocumentError(f"{path}: is not a file of policy tests: it needs at least `tests:`")
    try:
        return CasesSpec.model_validate(content)
    except ValidationError as error:
        raise refusal(str(path), find_problems(error, content, lines, CasesSpec.model_json_schema())) from None
