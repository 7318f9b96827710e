"""`python -m benchbd` is `benchbd`."""

from benchbd.cli.main import main

main()
