"""The commands around the governance document: check it, plan it, apply it, look back, go back."""
