"""Systems under test: other people's servers, unmodified, under simulated users in virtual time."""
