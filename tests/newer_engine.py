"""The next build that changes the engine: `python -m tests.newer_engine engine` is one of the next ENGINE_VERSION."""

from app.engine import engine

NEWER_VERSION = engine.ENGINE_VERSION + 1

if __name__ == "__main__":
    # Before the modules that take the version from there are loaded.
    engine.ENGINE_VERSION = NEWER_VERSION
    from app.cli import main

    main()
