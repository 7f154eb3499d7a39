"""`bursar policies`: test policies, and explain what they say of one request."""
