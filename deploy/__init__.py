"""How it is run: topology file to placement plan to threads and processes; the launcher and the command line."""

__version__ = "0.1.0"
