"""``python -m videoclf`` is the command ``videoclf``."""

from videoclf.cli.main import run

if __name__ == "__main__":
    run()
