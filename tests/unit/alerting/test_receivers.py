"""Which channels a message goes to."""

from __future__ import annotations

from engine.alerting.receivers import Concerns, channels_of
from engine.document.schema import AlertsSpec

ALERTS = AlertsSpec.model_validate(
    {
        "channels": {name: {"slack": f"#{name}"} for name in ("ops", "leads", "hr", "ann", "vendor", "board")},
        "routes": {"critical": ["ops"], "warning": ["leads"], "management": ["board", "ops"]},
        "by_owner": {"ann": {"warning": ["ann"]}},
        "by_team": {"hr": {"warning": ["hr"], "critical": ["ops", "hr"]}},
        "by_provider": {"webhook": {"warning": ["vendor"]}},
    }
)


def test_a_severity_goes_to_its_route() -> None:
    assert channels_of(ALERTS, ["critical"]) == ("ops",)
    assert channels_of(ALERTS, ["info"]) == (), "pages alone show it"


def test_the_owner_comes_before_the_team_and_the_team_before_the_provider() -> None:
    assert channels_of(ALERTS, ["warning"], Concerns("ann", "hr", "webhook")) == ("ann",)
    assert channels_of(ALERTS, ["warning"], Concerns("bob", "hr", "webhook")) == ("hr",)
    assert channels_of(ALERTS, ["warning"], Concerns(None, "eng", "webhook")) == ("vendor",)
    assert channels_of(ALERTS, ["warning"], Concerns(None, "eng", "openai")) == ("leads",)


def test_whoever_has_no_route_of_that_name_has_everybodys() -> None:
    assert channels_of(ALERTS, ["critical"], Concerns("ann", "hr")) == ("ops", "hr")
    assert channels_of(ALERTS, ["management"], Concerns("ann", "hr")) == ("board", "ops")


def test_several_routes_are_told_once_each_channel() -> None:
    assert channels_of(ALERTS, ["management", "critical", "warning"]) == ("board", "ops", "leads")


def test_without_a_route_of_its_own_management_is_the_on_call() -> None:
    alerts = AlertsSpec.model_validate({"channels": {"ops": {"slack": "#ops"}}, "routes": {"critical": ["ops"]}})
    assert channels_of(alerts, ["management"]) == ("ops",)
    assert channels_of(alerts, ["warning"]) == ()
