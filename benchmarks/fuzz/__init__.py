"""Bad uses of the command line and of the Python API, made from seeds."""
