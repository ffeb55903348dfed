"""`python -m evenhand.cli`, where the console script is not installed."""

from evenhand.cli import main

main()
