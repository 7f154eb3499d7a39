"""Copilot Credits: Microsoft's worked examples to the micro-dollar."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from engine import ExternalAgentCostEstimator
from engine.pricing.credits import copilot_credits
from engine.pricing.options import PriceOptions
from engine.pricing.price_list import PriceList
from engine.pricing.shipped import SHIPPED_BOOK
from engine.pricing.usage import Usage, to_microcredits


def by(**options: object) -> ExternalAgentCostEstimator:
    return ExternalAgentCostEstimator(PriceList(SHIPPED_BOOK, PriceOptions(**options)))  # type: ignore[arg-type]


def test_a_grounded_generative_answer_takes_twelve_credits_and_costs_twelve_cents() -> None:
    credit = copilot_credits({"generative_answer": 1, "tenant_graph_grounding": 1})
    assert credit == 12
    assert by().calculate_actual_cost("copilot_studio", credits=credit) == Decimal("0.12")
    assert by().estimate_cost("copilot_studio", credits=credit) == Decimal("0.144")


def test_the_inbox_agent_costs_145_dollars_or_116_by_packs() -> None:
    # 500 mails, each a trigger, four actions and two generative answers.
    credit = copilot_credits({"agent_action": 500 * 5, "generative_answer": 500 * 2}, autonomous=True)
    assert credit == 14_500
    assert by().calculate_actual_cost("copilot_studio", credits=credit) == Decimal(145)
    assert by(plan="pack").calculate_actual_cost("copilot_studio", credits=credit) == Decimal(116)


@pytest.mark.parametrize(
    ("discount", "usd"), [(None, "137.75"), (Decimal("0.05"), "137.75"), (Decimal("0.20"), "116"), (Decimal(0), "145")]
)
def test_a_prepaid_plan_is_cheaper_by_its_discount(discount: Decimal | None, usd: str) -> None:
    cost = by(plan="prepaid", discount=discount).calculate_actual_cost("copilot_studio", credits=14_500)
    assert cost == Decimal(usd)


def test_a_call_that_tells_no_credits_is_one_action_at_the_plans_price() -> None:
    assert by(plan="pack").estimate_cost("copilot_studio") == Decimal("0.048")
    assert by(plan="pack").estimate_cost("copilot_studio", complexity="complex") == Decimal("0.096")


def test_complexity_scales_the_usual_action_but_not_credits_that_were_told() -> None:
    assert by().calculate_actual_cost("copilot_studio", complexity="complex", credits=12) == Decimal("0.12")


def test_licensed_users_pay_for_autonomous_triggers_only() -> None:
    features = {"generative_answer": 3}
    assert copilot_credits(features, licensed=True) == 0
    assert copilot_credits(features, licensed=True, autonomous=True) == 6
    assert by().estimate_cost("copilot_studio", credits=0) == 0


@pytest.mark.parametrize(
    ("feature", "count", "credit"),
    [("classic_answer", 1, "1"), ("agent_flow_actions", 1, "0.13"), ("agent_flow_actions", 100, "13"),
     ("ai_tools_basic", 3, "0.3"), ("ai_tools_standard", 1, "1.5"), ("ai_tools_premium", 1, "10"),
     ("content_processing", 2, "16")],
)  # fmt: skip
def test_every_feature_takes_its_credits(feature: str, count: int, credit: str) -> None:
    with localcontext() as context:
        context.prec = 1
        assert copilot_credits({feature: count}) == Decimal(credit)


def test_a_caller_with_a_coarse_decimal_context_pays_for_every_credit() -> None:
    with localcontext() as context:
        context.prec = 3
        assert to_microcredits(1234) == 1_234_000_000
        assert Usage(microcredits=1_234_567_890).credits == Decimal("1234.56789")
        with pytest.raises(ValueError, match=r"^credits: must have at most six decimals"):
            to_microcredits("1.2345678")


@pytest.mark.parametrize(
    ("features", "field"),
    [({"telepathy": 1}, "features"), ({"classic_answer": -1}, "features.classic_answer"),
     ({"classic_answer": 1.5}, "features.classic_answer"), ({"classic_answer": True}, "features.classic_answer")],
)  # fmt: skip
def test_senseless_features_are_refused(features: dict[str, int], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        copilot_credits(features)
