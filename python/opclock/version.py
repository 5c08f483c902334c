"""The version, as the installed package has it."""

from importlib.metadata import version

VERSION = version("opclock")
