"""`bursar reviews`: stored reviews, and new ones on request."""
