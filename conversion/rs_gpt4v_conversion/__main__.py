"""`python -m rs_gpt4v_conversion` is `rs-gpt4v`."""

import sys

from rs_gpt4v_conversion.cli import main

if __name__ == "__main__":
    sys.exit(main())
