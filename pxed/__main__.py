"""`python -m pxed` is the `pxed` command from a plain checkout."""

from pxed.cli.main import main

if __name__ == "__main__":
    main()
