"""Tables first, figures and pages after."""
