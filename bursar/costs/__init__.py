"""`bursar costs`: what calls cost, as providers billed it."""
