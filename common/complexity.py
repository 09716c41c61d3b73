"""`python -m common.complexity`: `common/deploy/complexity.py`."""
from common.deploy.complexity import main
from common.programs.cli import run

if __name__ == '__main__':
    run(main)
