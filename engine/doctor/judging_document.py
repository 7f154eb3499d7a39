"""Judge what governs an organization: its document, its policies, and what the last hour's calls met. Pure."""

from __future__ import annotations

from datetime import timedelta

from engine.alerting.messages.words import calls
from engine.decision import ReasonCode
from engine.doctor.facts import Facts, OrganizationFacts, Reasons, Unanswered
from engine.doctor.finding import Finding, ok, problem, unknown, warning
from engine.doctor.judging_worker import is_running
from engine.doctor.words import ago, named
from engine.document.live import LiveDocument
from engine.document.schema import GovernanceDocument
from engine.ledger.queries.policy_denials import POLICY_REASONS

STILL_OUTDATED = timedelta(minutes=5)
"""An older version that decided nothing since is over."""


def document_finding(facts: Facts, organization: OrganizationFacts) -> Finding:
    """Whether there is a document, and whether it can be read."""
    live = organization.live
    if live is None:
        return problem("document.live", "There is no governance document: no service can be opened for it.",
                       "Write one (`bursar schema` describes it) and run `bursar apply FILE`.")  # fmt: skip
    if isinstance(live, Unanswered):
        # Not a rollback: that shows its plan first, which needs the live version too.
        return problem("document.live", f"The live document cannot be read: {live.why}.",
                       "Use the Bursar that applied it, or a newer one.")  # fmt: skip
    since = organization.live_since
    made = "" if since is None else f", made {ago(since, facts.now)}"
    return ok("document.live", f"Version {live.version} is live{made}.", version=live.version)


def outdated_finding(facts: Facts, organization: OrganizationFacts, live: LiveDocument) -> Finding:
    """Whether calls are decided by an older version although the live one should be known everywhere."""
    found, ttl = organization.outdated, facts.settings.cache_ttl_seconds
    if found is None:
        return ok("document.outdated", "No call of the last hour was decided by a version that was outdated.")
    sentence = (
        f"{calls(found.decisions, 'call')} of the last hour, the newest {ago(found.newest_at, facts.now)}, had an "
        f"older document version (the oldest {found.oldest_version}) more than {ttl} s after version {live.version} "
        "was made."
    )
    if is_running(facts):
        cure = (
            "Restart the services that still use it, and see that their BURSAR_DATABASE_URL and BURSAR_REDIS_URL are "
            "those of this ledger."
        )
    else:
        cure = f"Start `bursar worker`: it puts version {live.version} into Redis, and services take it up at once."
    is_going_on = facts.now - found.newest_at <= STILL_OUTDATED
    return (problem if is_going_on else warning)(
        "document.outdated",
        sentence,
        cure,
        decisions=found.decisions,
        newest_at=found.newest_at.isoformat(),
        oldest_version=found.oldest_version,
        live_version=live.version,
    )


def enforced_allows(document: GovernanceDocument) -> list[str]:
    """The ALLOW policies that take part in deciding."""
    return [
        policy.policy_id
        for policy in document.policies
        if policy.effect == "allow" and policy.enabled and not policy.shadow
    ]


def allow_finding(document: GovernanceDocument) -> Finding:
    """Whether any ALLOW is enforced; without one every call is denied."""
    allows = [policy for policy in document.policies if policy.effect == "allow"]
    enforced = enforced_allows(document)
    off = [policy.policy_id for policy in allows if not policy.enabled]
    shadow = [policy.policy_id for policy in allows if policy.enabled and policy.shadow]
    details = {"allow": enforced, "disabled": off, "shadow": shadow, "policies": len(document.policies)}
    if enforced:
        return ok("policies.allow", f"{calls(len(enforced), 'ALLOW policy is', 'ALLOW policies are')} enforced.",
                  **details)  # fmt: skip
    cure = "Add an ALLOW for the calls that may happen (`- {policy_id: go, effect: allow}` allows all)"
    if off and shadow:
        why = f"of its ALLOW policies {named(off)} {_are(off)} disabled and {named(shadow)} {_are(shadow)} in shadow"
        cure = "Set `enabled: true` and `shadow: false` on the ones that you mean"
    elif off:
        why = f"all of its ALLOW policies are disabled ({named(off)})"
        cure = "Set `enabled: true` on the ones that you mean"
    elif shadow:
        why = f"all of its ALLOW policies are in shadow, where they decide nothing ({named(shadow)})"
        cure = "Set `shadow: false` on the ones that you mean"
    else:
        why = "it has no ALLOW policy"
    return problem("policies.allow", f"The document denies every call: {why}.", f"{cure} and run `bursar apply FILE`.",
                   **details)  # fmt: skip


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def denial_finding(reasons: Reasons, *, agent_id: str | None = None) -> Finding:
    """Whether the last hour's calls were all denied by policies; of one agent, when it is named."""
    check, whose = ("policies.denials", "") if agent_id is None else ("agent.denials", f" of agent '{agent_id}'")
    total = sum(each.decisions for each in reasons.values())
    by_policy = {code.value: reasons[code].decisions for code in POLICY_REASONS if code in reasons}
    denied, no_allow = sum(by_policy.values()), by_policy.get(ReasonCode.POLICY_NO_ALLOW, 0)
    details = {"calls": total, "denied_by_policies": denied, "no_allow": no_allow, "by_reason": by_policy}
    if not total:
        return ok(check, f"There was no call{whose} in the last hour.", **details)
    each = f"{calls(total, 'call')}{whose}"
    cure = f"`bursar policies explain --agent {agent_id or 'AGENT'}` shows policy by policy what a call lacks."
    if no_allow == total:
        sentence = f"No policy allowed any of the {each} in the last hour: 100 % were denied as policy_no_allow."
        return problem(check, sentence, f"{cure} Then correct the ALLOW that was meant, and apply it.", **details)
    if denied == total:
        sentence = f"Policies denied 100 % of the {each} in the last hour, {no_allow:,} of them for want of an ALLOW."
        return problem(check, sentence, cure, **details)
    share = 100 * denied / total
    return ok(check, f"Policies denied {denied:,} of the {each} in the last hour ({share:.1f} %).", **details)


def outage_finding(organization: OrganizationFacts) -> Finding:
    """Whether calls of the last hour were decided without Redis."""
    reasons = organization.reasons
    fail_open = sum(each.fail_open for each in reasons.values())
    unavailable = reasons[ReasonCode.GATE_UNAVAILABLE].decisions if ReasonCode.GATE_UNAVAILABLE in reasons else 0
    details = {"fail_open": fail_open, "gate_unavailable": unavailable}
    if not fail_open and not unavailable:
        return ok("rates.outage", "No call of the last hour was decided without Redis.", **details)
    sentence = (
        f"In the last hour Redis did not answer in time for some calls: {fail_open:,} passed all the same (fail-open), "
        f"held only by the limits of an outage, and {unavailable:,} were denied."
    )
    cure = "See that Redis is up and near enough; `on_outage: closed` in the document denies such calls instead."
    return warning("rates.outage", sentence, cure, **details)


def unknown_document() -> Finding:
    """Instead of everything that is judged by a document."""
    return unknown("document.content", "Policies, budgets, rate limits and channels could not be looked at.")
