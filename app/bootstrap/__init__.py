"""Which real parts stand behind the Protocols, role by role: the only place that names adapters.

Each `run_*` serves one role until it is told to stop and returns its exit code. A wrong dependency
raises StartupError, which the command line answers with one line and exit code 3.
"""
