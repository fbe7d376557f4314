"""The subcommands of ``confseg-train``, one module each.

A module gives ``add(subparsers)``, which says how the command is called, and imports torch only
when it runs: ``confseg-train --help`` answers at once.
"""
