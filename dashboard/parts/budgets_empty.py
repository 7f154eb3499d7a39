"""What to write where there is no budget."""

HOW_TO_WRITE_ONE = """\
budgets:
  - id: everything
    per: org                      # one total for the organization; or team, user, agent, provider
    monthly_budget_usd: 5000
    daily_budget_usd: 400
    enforcement_mode: hard        # soft only marks calls beyond it
"""
