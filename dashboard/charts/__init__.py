"""Figures as pure functions of rows and colours. Each comes with its finding as title and as alternative text."""
