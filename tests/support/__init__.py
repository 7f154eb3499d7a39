"""Real servers and honest stand-ins that the tests run against."""
