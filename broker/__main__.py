"""Runs the command: `python -m broker` is `keybroker`."""

from broker.cli.main import main

if __name__ == "__main__":
    main()
