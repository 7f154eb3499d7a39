"""Read a file of tests of alert rules, and the document that they are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engine.alerting.rule_tests.running import RuleCaseResult, run_rule_case
from engine.alerting.rule_tests.schema import RuleTestsSpec
from engine.document.load import read_document
from engine.document.problems import Problem, find_problems, refusal
from engine.document.schema import AlertsSpec, GovernanceDocument
from engine.document.text import content_of, text_of
from engine.document.tree import Lines
from engine.errors import DocumentError, InvalidValue

NO_DOCUMENT = GovernanceDocument(organization="test")


@dataclass(frozen=True)
class RuleTests:
    """A file of tests. `document` is that of the file, or the one it names with the file's parts in their places."""

    path: Path
    spec: RuleTestsSpec
    lines: Lines
    document: GovernanceDocument

    def run(self) -> list[RuleCaseResult]:
        """All tests, in order. Raises `DocumentError` with path and line for one that fits no rule or budget."""
        return [self._run(index) for index in range(len(self.spec.tests))]

    def _run(self, index: int) -> RuleCaseResult:
        try:
            return run_rule_case(self.document, self.spec.tests[index])
        except InvalidValue as refused:
            path = ("tests", index, *(int(step) if step.isdecimal() else step for step in refused.field.split(".")))
            raise refusal(str(self.path), [Problem(path, refused.problem, self.lines.of(path))]) from None


def read_rule_tests(path: Path, document: Path | None = None) -> RuleTests:
    """Read and validate the YAML or JSON file at `path`; `document` takes the place of the one that it names.

    Raises `DocumentError` with one sentence that names the file, the line, the field and what is wrong with it.
    """
    content, lines = content_of(text_of(path), path)
    if not isinstance(content, dict):
        raise DocumentError(f"{path}: is not a file of tests of alert rules: it needs at least `tests:`")
    try:
        spec = RuleTestsSpec.model_validate(content)
    except ValidationError as error:
        raise refusal(str(path), find_problems(error, content, lines, RuleTestsSpec.model_json_schema())) from None
    named = document if document is not None or spec.document is None else path.parent / spec.document
    about = NO_DOCUMENT if named is None else read_document(named)
    return RuleTests(path, spec, lines, _with_parts(about, spec))


def _with_parts(document: GovernanceDocument, spec: RuleTestsSpec) -> GovernanceDocument:
    parts = {name: value for name in ("timezone", "agents", "budgets") if (value := getattr(spec, name)) is not None}
    if spec.alerts is not None:
        parts["alerts"] = _laid_over(document.alerts, spec.alerts)
    return document.model_copy(update=parts)


def _laid_over(alerts: AlertsSpec, own: AlertsSpec) -> AlertsSpec:
    given = {name: getattr(own, name) for name in own.model_fields_set}
    rules = {rule.id: rule for rule in (*alerts.rules, *own.rules)}
    return alerts.model_copy(update={**given, "rules": list(rules.values())})
