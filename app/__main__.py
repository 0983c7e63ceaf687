"""`python -m app` and the console script `orderwire`."""

from app.cli import main

if __name__ == "__main__":
    main()
