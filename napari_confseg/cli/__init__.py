"""The subcommands of ``confseg``, one module each.

A module gives ``add(subparsers)``, which says how the command is called, and imports what does the
work only when it runs: ``confseg --help`` answers at once.
"""
