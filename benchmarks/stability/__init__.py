"""How far numbers can be trusted: beside other programs, and from one run to the next."""
