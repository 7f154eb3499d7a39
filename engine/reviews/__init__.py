"""Daily, weekly and monthly reviews: what a period came to, beside the one before it, and what to do about budgets."""
