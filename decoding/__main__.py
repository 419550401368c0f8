"""`python -m decoding`."""

from decoding.cli import main

if __name__ == "__main__":
    main(prog_name="python -m decoding")
