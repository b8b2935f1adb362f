"""For those who write engines: the contract as checks that run on any of them (`python -m antiphon.testing.engine`)."""
